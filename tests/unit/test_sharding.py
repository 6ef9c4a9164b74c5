"""Shard objects: round trips and damage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softstore.errors import CorruptDataError
from softstore.sharding import ShardIndex, encode_shard, index_bytes

SHARD, CHUNK, WIDTH = 256, 32, 3


def shard(frames: int) -> tuple[np.ndarray, bytes]:
    rows = np.random.default_rng(frames).integers(0, 50, (frames, WIDTH)).astype(np.uint16)
    return rows, encode_shard(rows, SHARD, CHUNK)


def read(data: bytes, first: int, last: int) -> np.ndarray:
    index = ShardIndex.parse(data[-index_bytes(SHARD, CHUNK) :], "shard")
    start, length = index.span(first, last)
    span = memoryview(data)[start : start + length]
    return index.decode(span, first, last, (CHUNK, WIDTH), np.dtype(np.uint16))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, SHARD), st.data())
def test_any_span_of_chunks_reads_back(frames: int, data: st.DataObject) -> None:
    rows, packed = shard(frames)
    last_chunk = (frames - 1) // CHUNK
    first = data.draw(st.integers(0, last_chunk))
    last = data.draw(st.integers(first, last_chunk))
    wanted = rows[first * CHUNK : (last + 1) * CHUNK]
    np.testing.assert_array_equal(read(packed, first, last)[: len(wanted)], wanted)


def test_every_flipped_bit_is_noticed() -> None:
    _, packed = shard(100)
    for bit in range(0, 8 * len(packed), 7):
        damaged = bytearray(packed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptDataError, match="shard"):
            read(bytes(damaged), 0, 3)


def test_frames_that_were_never_written_are_an_error_not_zeros() -> None:
    _, packed = shard(100)
    with pytest.raises(CorruptDataError, match="no frames"):
        read(packed, 0, 4)


def test_a_span_cut_short_is_an_error() -> None:
    _, packed = shard(100)
    index = ShardIndex.parse(packed[-index_bytes(SHARD, CHUNK) :], "shard")
    start, length = index.span(0, 2)
    with pytest.raises(CorruptDataError, match="truncated"):
        index.decode(
            memoryview(packed)[start : start + length - 1], 0, 2, (CHUNK, WIDTH), np.dtype(np.uint16)
        )
