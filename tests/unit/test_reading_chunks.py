"""Shards whose rows are cut into several chunks side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype

from softstore.errors import CorruptDataError
from softstore.sharding import ShardIndex, crc32c, encode_shard, index_bytes

SHARD, CHUNK = 64, 16


def table(frames: int, width: int, dtype: str = "int8") -> NDArray[Any]:
    return np.random.default_rng(frames).integers(-9, 9, (frames, width)).astype(dtype)


def read(packed: bytes, first: int, last: int, chunk_width: int, width: int, dtype: str) -> NDArray[Any]:
    columns = width // chunk_width
    index = ShardIndex.parse(packed[-index_bytes(SHARD, CHUNK, columns) :], "shard", columns)
    start, length = index.span(first, last)
    span = memoryview(packed)[start : start + length]
    return index.decode(span, first, last, (CHUNK, chunk_width), np.dtype(dtype))


@settings(max_examples=50, deadline=None)
@given(
    frames=st.integers(1, SHARD),
    columns=st.integers(1, 5),
    chunk_width=st.integers(1, 6),
    dtype=st.sampled_from(["int8", "uint8", "int16", "uint32", "float16"]),
    data=st.data(),
)
def test_any_rows_of_chunks_read_back(
    frames: int, columns: int, chunk_width: int, dtype: str, data: st.DataObject
) -> None:
    width = columns * chunk_width
    rows = table(frames, width, dtype)
    packed = encode_shard(rows, SHARD, CHUNK, chunk_width)
    first = data.draw(st.integers(0, (frames - 1) // CHUNK))
    last = data.draw(st.integers(first, (frames - 1) // CHUNK))
    wanted = rows[first * CHUNK : (last + 1) * CHUNK]
    found = read(packed, first, last, chunk_width, width, dtype)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found[: len(wanted)], wanted)
    assert not found[len(wanted) :].any()


def test_zarr_reads_them() -> None:
    rows = table(SHARD, 12)
    objects = zarr.storage.MemoryStore()
    array = zarr.create_array(
        objects,
        shape=rows.shape,
        chunks=(CHUNK, 4),
        shards=rows.shape,
        dtype="int8",
        fill_value=0,
        serializer=BytesCodec(endian="little"),
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
    )
    packed = default_buffer_prototype().buffer.from_bytes(encode_shard(rows, SHARD, CHUNK, 4))
    objects._store_dict["c/0/0"] = packed
    np.testing.assert_array_equal(np.asarray(array[:]), rows)


def test_a_span_is_one_range_without_anything_else_in_it() -> None:
    packed = encode_shard(table(SHARD, 12), SHARD, CHUNK, 4)
    index = ShardIndex.parse(packed[-index_bytes(SHARD, CHUNK, 3) :], "shard", 3)
    start, length = index.span(1, 2)
    assert length == index.chunks[1:3, :, 1].sum()
    assert start == index.chunks[0, :, 1].sum()


def test_every_flipped_bit_is_noticed() -> None:
    packed = encode_shard(table(40, 12), SHARD, CHUNK, 4)
    for bit in range(0, 8 * len(packed), 3):
        damaged = bytearray(packed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptDataError, match="shard"):
            read(bytes(damaged), 0, 2, 4, 12, "int8")


def test_a_chunk_of_another_size_is_refused_before_it_is_unpacked() -> None:
    huge = encode_shard(np.zeros((CHUNK, 1 << 16), np.int8), SHARD, CHUNK)
    body = huge[: -index_bytes(SHARD, CHUNK)]
    index = ShardIndex("shard", np.array([[[0, len(body)]]], np.uint64))
    with pytest.raises(CorruptDataError, match="does not hold the 192 bytes"):
        index.decode(memoryview(body), 0, 0, (CHUNK, 12), np.dtype("int8"))


def test_bytes_that_are_no_zstd_frame_are_refused_even_with_a_checksum() -> None:
    body = b"no such frame"
    body += crc32c(body).to_bytes(4, "little")
    index = ShardIndex("shard", np.array([[[0, len(body)]]], np.uint64))
    with pytest.raises(CorruptDataError, match="does not decompress"):
        index.decode(memoryview(body), 0, 0, (CHUNK, 12), np.dtype("int8"))
