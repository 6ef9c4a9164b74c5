"""Manifests of any size, such as compaction leaves them, of stores whose frames were never written.

Ids, speakers, texts and certificates are random, but of the kind that real corpora have. Parts are written
directly; frames exist only where a look-up touches them, and only labels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from softstore.certificate import KL_BINS
from softstore.codecs import TopK, TrackSpec
from softstore.compact import PART_SHARDS
from softstore.format import (
    LABELS,
    TARGETS,
    Attributes,
    Complete,
    Teacher,
    manifest_part,
    shard_object,
)
from softstore.manifest import OF_A_SHARD
from softstore.metadata import metadata_objects
from softstore.parts import part_to_bytes
from softstore.sharding import encode_shard, sha256

CLASSES = 2008
SHARD_FRAMES = 32_768
FRAMES = 496
UTTERANCES = SHARD_FRAMES // FRAMES
"""In a shard."""

READABLE = 97
"""Every so many shards have labels that can be read."""

_CODEC = TopK(k=16)
_TRACKS = {
    LABELS: TrackSpec("uint16"),
    **{f"{TARGETS}/{name}": spec for name, spec in _CODEC.tracks(CLASSES).items()},
}
_TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
_BINS = np.exp(-(((np.arange(len(KL_BINS) + 1) - 60) / 11.3) ** 2))
_BINS /= _BINS.sum()
_WORDS = [hashlib.sha256(str(n).encode()).hexdigest()[: 2 + n % 9] for n in range(5000)]


def utterance_id(number: int) -> str:
    """Speaker, chapter, sentence, as LibriSpeech has them; every speaker says 500 sentences."""
    speaker, sentence = divmod(number, 500)
    return f"{100 + 7 * speaker}-{120_000 + 13 * speaker + sentence // 50}-{sentence % 50:04d}"


@dataclass(frozen=True, slots=True)
class Scaled:
    """A store of the first so many utterances."""

    path: Path
    utterances: int

    @property
    def shards(self) -> int:
        return -(-self.utterances // UTTERANCES)

    @property
    def manifest_bytes(self) -> int:
        return sum(file.stat().st_size for file in (self.path / "manifest").glob("*.parquet"))


def attributes_of(shards: int, utterances: int, compacted: bool = True) -> Attributes:
    """Those of a finished store."""
    return Attributes(
        kind="soft_targets",
        shard_frames=SHARD_FRAMES,
        shards=shards,
        compacted=spans(shards) if compacted else [],
        complete=Complete(shards=shards, utterances=utterances, frames=utterances * FRAMES),
        class_count=CLASSES,
        tracks=_TRACKS,
        codec=_CODEC.config(),
        certificate_temperatures=list(_TEMPERATURES),
        teacher=Teacher(fingerprint="0" * 64),
    )


def spans(shards: int) -> list[tuple[int, int]]:
    """Of merged parts."""
    cuts = ((first, min(first + PART_SHARDS, shards) - 1) for first in range(0, shards, PART_SHARDS))
    return [(first, last) for first, last in cuts if first < last]


def write_root(path: Path, attributes: Attributes) -> None:
    """Every ``zarr.json``."""
    for name, data in metadata_objects(attributes).items():
        _write(path / name, data)


def write_part(path: Path, first: int, last: int, utterances: int) -> None:
    """The part of some shards, and labels of some of them."""
    _write(path / manifest_part(first, last), part_to_bytes(_part(path, first, last, utterances)))


def link(whole: Scaled, path: Path, utterances: int) -> Scaled:
    """A smaller store of the same parts, without an index."""
    store = Scaled(path, utterances)
    if utterances % (UTTERANCES * PART_SHARDS):
        raise ValueError("a smaller store has whole parts of the larger one")
    for first, last in spans(store.shards):
        _link(whole.path, path, manifest_part(first, last))
    for shard in range(0, store.shards, READABLE):
        _link(whole.path, path, f"{LABELS}/c/{shard}")
    write_root(path, attributes_of(store.shards, utterances))
    return store


def _part(path: Path, first: int, last: int, utterances: int) -> pa.Table:
    random = np.random.default_rng(first)
    begin, end = first * UTTERANCES, min((last + 1) * UTTERANCES, utterances)
    numbers = np.arange(begin, end)
    count = end - begin
    words = random.integers(0, len(_WORDS), (count, 14)).tolist()
    lengths = random.integers(4, 15, count).tolist()
    columns = {
        "utterance_id": [utterance_id(number) for number in range(begin, end)],
        "shard": (numbers // UTTERANCES).astype(np.int32),
        "first_frame": numbers // UTTERANCES * SHARD_FRAMES + numbers % UTTERANCES * FRAMES,
        "num_frames": np.full(count, FRAMES, np.int32),
        "speaker": (100 + 7 * (numbers // 500)).astype(str),
        "split": np.where(numbers % 20 == 0, "cv", "train"),
        "text": [
            " ".join([_WORDS[word] for word in of_one[:length]])
            for of_one, length in zip(words, lengths, strict=True)
        ],
        "features_crc32c": random.integers(0, 2**32, count, dtype=np.uint32),
        "entropy": random.gamma(2, 0.7, count),
    }
    for temperature in _TEMPERATURES:
        kl = random.lognormal(-6, 1, count)
        columns[f"mean_kl_t{temperature:g}"] = kl
        columns[f"max_kl_t{temperature:g}"] = kl * random.uniform(2, 30, count)
    table = pa.table(columns)
    of_a_shard: dict[str, list[Any]] = {name: [None] * count for name in OF_A_SHARD}
    for shard in range(first, last + 1):
        row = shard * UTTERANCES - begin
        frames = FRAMES * min(UTTERANCES, end - shard * UTTERANCES)
        of_a_shard["objects"][row] = list(_objects(path, shard))
        of_a_shard["kl_histogram"][row] = [
            {"temperature": temperature, "frames": random.multinomial(frames, _BINS)}
            for temperature in _TEMPERATURES
        ]
    for name, kind in OF_A_SHARD.items():
        table = table.append_column(name, pa.array(of_a_shard[name], kind))
    return table


def _objects(path: Path, shard: int) -> Iterator[dict[str, str | int]]:
    for track, spec in _TRACKS.items():
        name = shard_object(track, spec, shard)
        if track == LABELS and shard % READABLE == 0:
            data = encode_shard(np.full(SHARD_FRAMES, shard % CLASSES, np.uint16), SHARD_FRAMES, 256)
            _write(path / name, data)
            yield {"path": name, "size": len(data), "sha256": sha256(data)}
        else:
            other = hashlib.sha256(name.encode()).hexdigest()
            yield {"path": name, "size": 4_000_000 + shard % 1000, "sha256": other}


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def _link(whole: Path, path: Path, name: str) -> None:
    (path / name).parent.mkdir(parents=True, exist_ok=True)
    os.link(whole / name, path / name)
