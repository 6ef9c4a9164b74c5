"""A source of aligned utterances → a corpus on disk, with senone labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from softstore.codecs import TrackSpec
from softstore.errors import ConflictError, InvalidInputError, NotAStoreError
from softstore.format import FEATURES, LABELS, SENONES, SENONES_CHECKSUM, Attributes
from softstore.metadata import canonical_json
from softstore.parts import read_attributes
from softstore.planner import ShardPlan, plan_shards
from softstore.sharding import crc32c
from softstore.storage import Storage
from softstore.writer import Writer, create, require_vacant
from trainer.aligner.features import cepstra
from trainer.corpora.fbank import DIMENSIONS, FRAME_LENGTH_MS, FRAME_SHIFT_MS, SAMPLE_RATE
from trainer.corpora.source import AlignedUtterance, Rejected, Source
from trainer.senones import SenoneTree, TreeStatistics, grow_tree

FEATURE_DESCRIPTION = {
    "kind": "log-mel filter bank (kaldi-native-fbank, no dither)",
    "dimensions": DIMENSIONS,
    "sample_rate": SAMPLE_RATE,
    "frame_length_ms": FRAME_LENGTH_MS,
    "frame_shift_ms": FRAME_SHIFT_MS,
}
TREE_SPLIT = "train"
TRACKS = {FEATURES: TrackSpec("float16", DIMENSIONS), LABELS: TrackSpec("uint16")}

Progress = Callable[[str, int, int], None]
"""Called with (stage, utterances done, utterances to do)."""


def build(
    source: Source,
    storage: Storage,
    *,
    senones: int = 2008,
    workers: int = 1,
    progress: Progress = lambda stage, done, total: None,
) -> None:
    """Make a corpus: collect utterances, tie senones on the train split, label every frame, write.

    What was left out, and how many senones the data could support, is recorded in the corpus's attributes
    (``corpus.rejected``, ``class_count``). A corpus that an interrupted call left unfinished is finished.

    Raises:
        ConflictError: something else lies at that place already.
        InvalidInputError: the source yields nothing to train on.
    """
    wanted = {**source.description, "senones_wanted": senones}
    _check_place(storage, wanted)
    utterances, rejected = _collect(source, workers, progress)
    phones = (phone for found in source.lexicon.values() for reading in found for phone in reading)
    tree = _tie(utterances, phones, senones, progress)
    lexicon = {word: [" ".join(phones) for phones in found] for word, found in source.lexicon.items()}
    senone_json = canonical_json({"tree": tree.to_json(), "lexicon": lexicon})
    described = {"rejected": [asdict(entry) for entry in rejected], SENONES_CHECKSUM: crc32c(senone_json)}
    attributes = Attributes(
        kind="corpus",
        frame_shift=FRAME_SHIFT_MS / 1000,
        class_count=tree.num_senones,
        tracks=TRACKS,
        features=FEATURE_DESCRIPTION,
        corpus={**wanted, **described},
        created_by=f"softstore {version('softstore')}",
        class_names=[tree.name(senone) for senone in range(tree.num_senones)],
    )
    writer = _open_or_create(storage, attributes)
    storage.put(SENONES, senone_json)
    plans = plan_shards(
        ((utterance.utterance_id, len(utterance.features)) for utterance in utterances),
        attributes.shard_frames,
    )
    writer.allocate(len(plans))
    by_id = {utterance.utterance_id: utterance for utterance in utterances}
    for done, plan in enumerate(plans):
        progress("Writing shards", done, len(plans))
        _write(writer, plan, [by_id[utterance_id] for utterance_id in plan.utterance_ids], tree)
    progress("Writing shards", len(plans), len(plans))
    writer.finish()


def is_complete(storage: Storage, source: Source, senones: int) -> bool:
    """Whether the very corpus that `build` would make lies there, finished."""
    try:
        found = read_attributes(storage)
    except NotAStoreError:
        return False
    return found.complete is not None and _same(found, {**source.description, "senones_wanted": senones})


def _check_place(storage: Storage, wanted: dict[str, Any]) -> None:
    """Before the long work: is there nothing yet, or an unfinished corpus of the same description?"""
    try:
        found = read_attributes(storage)
    except NotAStoreError:
        require_vacant(storage)
        return
    if found.complete is not None or not _same(found, wanted):
        raise ConflictError(
            f"{storage.url} holds another corpus or store: choose another place, or remove it."
        )


def _open_or_create(storage: Storage, attributes: Attributes) -> Writer:
    try:
        found = read_attributes(storage)
    except NotAStoreError:
        return create(storage, attributes)
    # Shards that are published already were labelled by the tree of that run, whose checksum is in there.
    if found.class_count != attributes.class_count or found.corpus != attributes.corpus:
        raise ConflictError(
            f"{storage.url} was begun from other speech or software: remove it and make it anew."
        )
    return Writer(storage, found)


def _same(found: Attributes, wanted: dict[str, Any]) -> bool:
    measured = {"rejected", SENONES_CHECKSUM}
    return {name: value for name, value in found.corpus.items() if name not in measured} == wanted


def _collect(
    source: Source, workers: int, progress: Progress
) -> tuple[list[AlignedUtterance], list[Rejected]]:
    utterances: list[AlignedUtterance] = []
    rejected: list[Rejected] = []
    for done, entry in enumerate(source.utterances(workers), start=1):
        if isinstance(entry, Rejected):
            rejected.append(entry)
        else:
            utterances.append(entry)
        progress("Making utterances", done, source.total)
    return utterances, rejected


def _tie(
    utterances: list[AlignedUtterance], phones: Iterable[str], senones: int, progress: Progress
) -> SenoneTree:
    training = [utterance for utterance in utterances if utterance.split == TREE_SPLIT]
    if not training:
        raise InvalidInputError(
            "The corpus has no utterance in its train split: there is nothing to learn from."
        )
    # Phones that only the other splits have need senones too.
    statistics = TreeStatistics(phones)
    for done, utterance in enumerate(training, start=1):
        statistics.accumulate(cepstra(utterance.features), utterance.alignment)
        progress("Tying senones", done, len(training))
    return grow_tree(statistics, senones)


def _write(writer: Writer, plan: ShardPlan, utterances: list[AlignedUtterance], tree: SenoneTree) -> None:
    rows = [
        {
            "utterance_id": utterance.utterance_id,
            "num_frames": len(utterance.features),
            "speaker": utterance.speaker,
            "split": utterance.split,
            "text": utterance.text,
            **utterance.extra,
        }
        for utterance in utterances
    ]
    tracks = {
        FEATURES: np.concatenate([utterance.features for utterance in utterances]).astype(np.float16),
        LABELS: np.concatenate([tree.label(utterance.alignment) for utterance in utterances]).astype(
            np.uint16
        ),
    }
    writer.write_shard(plan.shard, rows, tracks)
