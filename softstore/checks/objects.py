"""Checks of every object of every shard: size, checksum, index, each chunk, features and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.checks.content import WrongLabelError, check_features, check_labels
from softstore.checks.manifest import Published
from softstore.checks.report import FaultKind, Report
from softstore.codecs import TrackSpec
from softstore.errors import CorruptDataError, NotFoundError
from softstore.format import FEATURES, LABELS, Attributes, shard_object
from softstore.manifest import ShardObject
from softstore.planner import padded_frames
from softstore.sharding import ShardIndex, index_bytes, sha256
from softstore.storage import Storage

_THREADS = 4
"""Objects in memory at a time."""

_ABSENT = 2**64 - 1

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes to do)."""


@dataclass(frozen=True, slots=True)
class _Object:
    path: str
    shard: int
    track: str
    entry: ShardObject
    rows: int
    """Of the track that must be there."""

    utterances: pa.Table
    """Manifest rows of the shard."""


def check_objects(
    storage: Storage, attributes: Attributes, published: Published, report: Report, progress: Progress
) -> None:
    """Read every object of the shards whose manifest rows are sound."""
    objects = list(_objects(attributes, published, report))
    total, done = sum(found.entry.size for found in objects), 0

    def check(found: _Object) -> tuple[_Object, FaultKind | None, str]:
        try:
            _check(storage, attributes, found)
        except WrongLabelError as error:
            return found, FaultKind.LABELS, str(error)
        except CorruptDataError as error:
            return found, FaultKind.OBJECT, str(error)
        return found, None, ""

    progress(0, total)
    with ThreadPoolExecutor(_THREADS) as pool:
        for found, kind, what in pool.map(check, objects):
            if kind:
                report.add(kind, found.path, what, [found.shard])
            done += found.entry.size
            progress(done, total)
    report.checked.objects += len(objects)
    report.checked.bytes += total


def _objects(attributes: Attributes, published: Published, report: Report) -> Iterator[_Object]:
    for shard, rows in published.shards.items():
        if shard in report.damaged:
            continue
        entries = {
            entry["path"]: ShardObject(entry["size"], entry["sha256"]) for entry in rows["objects"][0].as_py()
        }
        last = rows.slice(len(rows) - 1).to_pylist()[0]
        occupied = last["first_frame"] - shard * attributes.shard_frames
        occupied += padded_frames(last["num_frames"], attributes.block_frames)
        for track, spec in attributes.tracks.items():
            path = shard_object(track, spec, shard)
            yield _Object(path, shard, track, entries[path], 0 if spec.ragged else occupied, rows)


def _check(storage: Storage, attributes: Attributes, found: _Object) -> None:
    try:
        data = storage.get(found.path)
    except NotFoundError as error:
        raise CorruptDataError(f"{found.path} is missing, although its manifest part lists it.") from error
    if len(data) != found.entry.size:
        raise CorruptDataError(
            f"{found.path} has {len(data):,} bytes where its manifest part says {found.entry.size:,}."
        )
    if sha256(data) != found.entry.sha256:
        raise CorruptDataError(f"{found.path} is damaged: its bytes do not match their checksum.")
    chunks = _chunks(data, attributes, found, attributes.tracks[found.track])
    if found.track == FEATURES:
        check_features(found.path, chunks, found.utterances, found.shard * attributes.shard_frames)
    elif found.track == LABELS:
        check_labels(found.path, chunks, attributes.class_count)
    for _ in chunks:
        pass  # What is left has checksums, too.


def _chunks(
    data: bytes, attributes: Attributes, found: _Object, spec: TrackSpec
) -> Iterator[NDArray[np.generic]]:
    """Its rows of chunks, one after another, each checked."""
    chunk_frames, chunk_width = attributes.chunk_frames, spec.chunk_width or spec.width
    columns = (spec.width or 1) // (chunk_width or 1)
    shard_rows = spec.shard_rows(attributes.shard_frames)
    body = len(data) - index_bytes(shard_rows, chunk_frames, columns)
    index = ShardIndex.parse(memoryview(data)[body:], found.path, columns)
    sizes = index.chunks[..., 1][index.chunks[..., 0] != _ABSENT]
    present = len(sizes) // columns
    if int(sizes.sum()) != body or present < -(-found.rows // chunk_frames):
        raise CorruptDataError(f"{found.path} does not hold the chunks that it should.")
    shape = (chunk_frames,) if chunk_width is None else (chunk_frames, chunk_width)
    for row in range(present):
        start, length = index.span(row, row)
        yield index.decode(memoryview(data)[start : start + length], row, row, shape, np.dtype(spec.dtype))
