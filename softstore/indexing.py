"""Write a store's index of ids.

Buckets are written before the root names them, under a name that hangs on what they say: at any moment a
reader finds one whole index, or none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from softstore.errors import ConflictError, StorageError
from softstore.format import IDS, Attributes, IdIndex, id_bucket
from softstore.id_index import ENTRY_BYTES, Entries, bucket_to_bytes, buckets_of, cut, entries_of
from softstore.parts import Span, iter_parts, read_attributes
from softstore.storage import Storage
from softstore.writer import update_attributes

BUCKET_ENTRIES = 16_384
"""In a bucket at most, on average: 128 KiB."""

_BUCKETS_AT_ONCE = 256
"""Sorted in memory at a time: up to 32 MiB."""

_UNCOVERED = 256
"""An index is due once more shards than this lack one …"""
_SHARE = 16
"""… and more than one in so many, so that each is indexed a few times only while a store grows."""

_BLOCK = 1 << 20
_THREADS = 16


def is_due(index: IdIndex | None, shards: int) -> bool:
    """Whether an index of so many published shards would be worth its writing."""
    covered = sum(last - first + 1 for first, last in index.shards) if index else 0
    return shards - covered > max(_UNCOVERED, covered // _SHARE)


def write_index(storage: Storage, attributes: Attributes) -> IdIndex:
    """Index the ids of everything that is published, and put the index into the root.

    Memory does not grow with the store; 8 bytes an utterance go into a temporary file. Readers and writers
    may go on meanwhile, a compaction or repair may not.

    Raises:
        ConflictError: somebody else wrote to the store meanwhile; not every writer is noticed.
        CorruptDataError: a part is damaged or gone.
        StorageError: a storage, or the temporary directory, refused.
    """
    try:
        with TemporaryFile() as file:
            index = _collect(storage, attributes, file)
            _write(storage, index, file)
    except OSError as error:
        raise StorageError(
            f"Could not keep the ids of {storage.url} in a temporary file ({error.strerror}): make room for "
            "8 bytes an utterance, or name another directory with TMPDIR."
        ) from error
    update_attributes(storage, {"id_index": index})
    if read_attributes(storage).id_index != index:
        raise ConflictError(
            f"{storage.url} was changed while its ids were indexed: run `softstore compact` again."
        )
    return index


def is_stale(path: str, index: IdIndex | None) -> bool:
    """Whether an object is of another index than this."""
    return path.startswith(f"{IDS}/") and not (index and path.startswith(f"{IDS}/{index.name}/"))


def _collect(storage: Storage, attributes: Attributes, file: IO[bytes]) -> IdIndex:
    """Write all entries into a file as they come; the index that they make."""
    runs: list[Span] = []
    total, digest = 0, hashlib.sha256()
    for part in iter_parts(storage, attributes, ("utterance_id", "shard")):
        shards = part["shard"]
        _extend(runs, (shards[0].as_py(), shards[-1].as_py()))
        data = entries_of(part).astype("<u8").tobytes()
        file.write(data)
        digest.update(data)
        total += len(part)
    buckets = 1 << ((total - 1) // BUCKET_ENTRIES).bit_length() if total else 1
    return IdIndex(name=digest.hexdigest()[:8], buckets=buckets, shards=runs, utterances=total)


def _extend(runs: list[Span], span: Span) -> None:
    if runs and runs[-1][1] + 1 == span[0]:
        runs[-1] = runs[-1][0], span[1]
    else:
        runs.append(span)


def _write(storage: Storage, index: IdIndex, file: IO[bytes]) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        for first in range(0, index.buckets, _BUCKETS_AT_ONCE):
            some = range(first, min(first + _BUCKETS_AT_ONCE, index.buckets))
            buckets = zip(some, _buckets(file, index, some), strict=True)
            list(pool.map(lambda bucket: _put(storage, index, *bucket), buckets))


def _buckets(file: IO[bytes], index: IdIndex, some: Sequence[int]) -> list[Entries]:
    """Some neighbouring buckets, sorted."""
    entries = np.concatenate([np.empty(0, np.uint64), *_chosen(file, index, some)])
    entries.sort()
    return cut(entries, index.buckets, some)


def _chosen(file: IO[bytes], index: IdIndex, some: Sequence[int]) -> Iterator[Entries]:
    file.seek(0)
    while data := file.read(_BLOCK * ENTRY_BYTES):
        entries = np.frombuffer(data, "<u8").astype(np.uint64, copy=False)
        buckets = buckets_of(entries, index.buckets)
        yield entries[(buckets >= some[0]) & (buckets <= some[-1])]


def _put(storage: Storage, index: IdIndex, bucket: int, entries: Entries) -> None:
    storage.put(id_bucket(index, bucket), bucket_to_bytes(entries))
