"""Fill a store with posteriors, whoever they come from: plan shards, encode, measure, publish.

Every utterance is encoded alone, so what is stored of it does not depend on how a run was cut into shards or
resumed. A second run computes only what is not published yet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import torch

from softstore.codecs import Codec, FittedToSample
from softstore.codecs.transform.fitting import BLOCK_FRAMES
from softstore.collection import Collection
from softstore.encoding import EncodedUtterance, encode_utterance, is_certificate
from softstore.errors import ConflictError
from softstore.format import FIRST_OVERFLOW, NUM_OVERFLOW, TARGETS, Attributes
from softstore.manifest import Manifest
from softstore.parts import read_parts
from softstore.planner import plan_shards
from softstore.posteriors import Posteriors
from softstore.publishing import check_blocks, open_or_create, publish, with_codec
from softstore.runs import read_ahead
from softstore.sampling import stored_codec, take_sample
from softstore.storage import Storage
from softstore.utterance import Utterance
from softstore.writer import Writer

U = TypeVar("U", bound=Utterance)

_PLACEMENT = {"shard", "first_frame", "features_crc32c", FIRST_OVERFLOW, NUM_OVERFLOW}
"""Manifest columns that writing adds."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run did.

    Attributes:
        utterances, frames, shards: published by this run.
        present: utterances of the source that others had published, before or meanwhile.
        seconds: wall-clock time of the run.
    """

    utterances: int
    frames: int
    shards: int
    present: int
    seconds: float


Progress = Callable[[int, int], None]
"""Called with (frames done, frames to do) of this run."""


def fill(
    source: Posteriors[U],
    storage: Storage,
    codec: Codec | FittedToSample,
    wanted: Attributes,
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Store the posteriors of every utterance of the source that the store does not have yet.

    Args:
        codec: how a new store keeps them, or what to fit a codec for, to a sample of the source; a store that
            is there keeps the codec that was fitted for the same.
        wanted: the attributes of a new store, without the codec's.

    Raises:
        ConflictError: the store was made by another teacher, codec or corpus, or of another source.
        InvalidInputError: an utterance does not fit a shard, or its posteriors cannot be used.
    """
    started = time.monotonic()
    writer, chosen = _begin(source, storage, codec, wanted)
    published = Manifest(read_parts(storage, writer.attributes))
    _check_same_features(source.collection, published)
    lengths = source.collection.manifest.by_utterance("num_frames")
    missing = {name: frames for name, frames in lengths.items() if name not in published}
    plans = plan_shards(
        missing.items(), writer.attributes.shard_frames, published.shards, writer.attributes.block_frames
    )
    total = sum(plan.frames for plan in plans)
    done = utterances = frames = shards = 0
    writer.allocate(max((plan.shard + 1 for plan in plans), default=0))
    # Scanned in stored order, which is the order of the plans.
    with closing(
        _encoded(source, chosen, writer.attributes.certificate_temperatures, list(missing))
    ) as encoded:
        for plan in plans:
            finished = []
            for utterance in islice(encoded, len(plan.utterance_ids)):
                finished.append(utterance)
                done += utterance.frames
                progress(done, total)
            if publish(writer, plan.shard, finished):
                utterances, frames, shards = utterances + len(finished), frames + plan.frames, shards + 1
    writer.finish(Manifest(read_parts(storage, writer.attributes)) if plans else published)
    seconds = time.monotonic() - started
    return Summary(utterances, frames, shards, len(lengths) - utterances, seconds)


def _begin(
    source: Posteriors[U], storage: Storage, asked: Codec | FittedToSample, wanted: Attributes
) -> tuple[Writer, Codec]:
    """The store's writer and codec: the stored one, the given one, or one that is fitted now."""
    if not isinstance(asked, FittedToSample):
        return open_or_create(storage, with_codec(wanted, asked), asked.arrays()), asked
    codec = stored_codec(storage, asked)
    if codec is None:
        check_blocks(wanted.chunk_frames, BLOCK_FRAMES)
        codec = asked.fit(take_sample(source))
    try:
        return open_or_create(storage, with_codec(wanted, codec), codec.arrays()), codec
    except ConflictError:
        # Somebody else may have begun the store while this codec was fitted: theirs is as good.
        theirs = stored_codec(storage, asked)
        if theirs is None:
            raise
        return open_or_create(storage, with_codec(wanted, theirs), theirs.arrays()), theirs


def _encoded(
    source: Posteriors[U], codec: Codec, temperatures: Sequence[float], utterance_ids: Sequence[str]
) -> Generator[EncodedUtterance, None, None]:
    """These utterances in stored order, encoded and measured, several at a time."""
    collection = source.collection
    tracks = [name for name in collection.attributes.tracks if not name.startswith(f"{TARGETS}/")]

    def encode(utterance: U) -> EncodedUtterance:
        log_posteriors = source.log_posteriors(utterance)
        carried = {track: utterance.read(track) for track in tracks}
        return encode_utterance(codec, log_posteriors, temperatures, _carried(utterance.row), carried)

    # One utterance and one core a thread: torch's own threads would wait for each other at every small step
    # of encoding and measuring. Their number holds for threads to come.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        cores = _cores()
        yield from read_ahead(encode, collection.scan(utterance_id=utterance_ids), cores, 2 * cores)
    finally:
        torch.set_num_threads(before)


def _carried(row: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest columns of an utterance that are its own wherever it is stored."""
    return {name: value for name, value in row.items() if name not in _PLACEMENT and not is_certificate(name)}


def _check_same_features(source: Collection[U], published: Manifest) -> None:
    stored = published.by_utterance("features_crc32c")
    for utterance_id, checksum in source.manifest.by_utterance("features_crc32c").items():
        if stored.get(utterance_id, checksum) != checksum:
            raise ConflictError(
                f"Utterance {utterance_id!r} of {source.url} has other features than the stored one: "
                "choose another place."
            )


def _cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
