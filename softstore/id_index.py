"""The index of ids: which shard an utterance is in, without a look into the manifest.

An utterance's entry is one number, crc32c of its id × 2³² + its shard: 8 bytes, however long the id. Entries
are sorted and lie in buckets, each for an equal range of checksums, so a look-up reads one small object, and
the manifest part of the shard, which tells whether it really has the id: ids may share a checksum.

Only shards count that the root says are covered. What has been published since is found in its own parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import google_crc32c
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.errors import CorruptDataError
from softstore.format import IdIndex, id_bucket
from softstore.parts import Span
from softstore.sharding import crc32c
from softstore.storage import Storage

Entries = NDArray[np.uint64]
"""Rising numbers, a checksum in the upper half and a shard in the lower half of each."""

ENTRY_BYTES = 8
_CHECKSUM_BYTES = 4
_SHARD = 32
"""Bits of a shard's number …"""
_SHARDS = np.uint64(2**_SHARD - 1)
"""… and all of them."""


def entries_of(part: pa.Table) -> Entries:
    """The entries of a table with the columns ``utterance_id`` and ``shard``, not sorted."""
    ids = part["utterance_id"].cast(pa.binary()).to_pylist()
    checksums = np.fromiter(map(google_crc32c.value, ids), np.uint64, len(ids))
    entries: Entries = (checksums << np.uint64(_SHARD)) | part["shard"].to_numpy().astype(np.uint64)
    return entries


def bucket_of(checksum: int, buckets: int) -> int:
    """The bucket that an id is in."""
    return checksum * buckets >> 32


def buckets_of(entries: Entries, buckets: int) -> Entries:
    """The bucket of each entry."""
    found: Entries = (entries >> np.uint64(_SHARD)) * np.uint64(buckets) >> np.uint64(32)
    return found


def cut(entries: Entries, buckets: int, some: Sequence[int]) -> list[Entries]:
    """What of these entries, which are sorted, is in each of some neighbouring buckets."""
    return list(np.split(entries, np.searchsorted(buckets_of(entries, buckets), some[1:])))


def id_checksum(utterance_id: str) -> int | None:
    """None of text that cannot be stored."""
    try:
        return crc32c(utterance_id.encode())
    except UnicodeEncodeError:
        return None


def shards_of(entries: Entries, checksum: int) -> list[int]:
    """The shards with an id of this checksum."""
    checksums, wanted = entries >> np.uint64(_SHARD), np.uint64(checksum)
    first, last = (np.searchsorted(checksums, wanted, side) for side in ("left", "right"))
    return sorted({int(entry) for entry in entries[first:last] & _SHARDS})


def within(entries: Entries, spans: Sequence[Span]) -> NDArray[np.bool_]:
    """Which of the entries are of shards in these runs, which are in order."""
    ends = np.array([end for first, last in spans for end in (first, last + 1)], np.uint64)
    inside: NDArray[np.bool_] = np.searchsorted(ends, entries & _SHARDS, side="right") % 2 == 1
    return inside


def bucket_to_bytes(entries: Entries) -> bytes:
    """A bucket as it is stored: its entries, little-endian, and their crc32c."""
    data = entries.astype("<u8").tobytes()
    return data + crc32c(data).to_bytes(_CHECKSUM_BYTES, "little")


def read_bucket(storage: Storage, index: IdIndex, bucket: int) -> Entries:
    """The entries of one bucket.

    Raises:
        NotFoundError: it is not there.
        CorruptDataError: it is damaged.
    """
    path = id_bucket(index, bucket)
    data = storage.get(path)
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if len(body) % ENTRY_BYTES or checksum != crc32c(body).to_bytes(_CHECKSUM_BYTES, "little"):
        raise CorruptDataError(f"{path} in {storage.url} is damaged: it does not match its checksum.")
    return np.frombuffer(body, "<u8").astype(np.uint64, copy=False)
