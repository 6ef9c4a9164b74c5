"""One Zarr v3 shard ↔ bytes: the ``sharding_indexed`` codec with zstd and crc32c inside.

A shard object is its chunks one after another, each compressed with zstd and followed by its crc32c,
then the index: for every chunk its offset and length as little-endian uint64 (both 2⁶⁴ - 1 where there
is no chunk), and the index's own crc32c. Chunks lie in C order, those of one row of chunks side by side, so
any span of frames over all columns is one range of bytes. Written by hand rather than through zarr-python
because such a span must cost one request, and because the manifest needs each object's size and checksum.

Spec: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from math import prod

import google_crc32c
import numpy as np
import zstandard
from numpy.typing import NDArray

from softstore.errors import CorruptDataError

ZSTD_LEVEL = 1
_CHECKSUM_BYTES = 4
_MISSING = 2**64 - 1

_of_thread = threading.local()


def crc32c(data: bytes | memoryview, before: int = 0) -> int:
    """The Castagnoli checksum of ``data``, as Zarr's crc32c codec has it.

    Args:
        before: that of what comes before ``data``, to go on from.
    """
    return int(google_crc32c.extend(before, bytes(data)))


def sha256(data: bytes) -> str:
    """SHA-256 of a whole object, as 64 lower-case hexadecimal digits.

    Its pieces end in a crc32c each, so its own crc32c would say nothing about what they hold.
    """
    return hashlib.sha256(data).hexdigest()


def encode_shard(
    rows: NDArray[np.generic], shard_rows: int, chunk_frames: int, chunk_width: int | None = None
) -> bytes:
    """A shard object from its first rows; rows of chunks beyond them stay absent.

    Args:
        rows: shape (rows,) or (rows, width) with at most ``shard_rows``.
        chunk_width: columns of one chunk, a divisor of the width; None: all of them.
    """
    width = prod(rows.shape[1:])
    columns = width // (chunk_width or width)
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    index = np.full((shard_rows // chunk_frames * columns, 2), _MISSING, "<u8")
    pieces: list[bytes] = []
    offset = 0
    for start in range(0, len(rows), chunk_frames):
        block = rows[start : start + chunk_frames].reshape(-1, width)
        block = np.pad(block, ((0, chunk_frames - len(block)), (0, 0)))
        for chunk in np.split(block, columns, axis=1):
            little = np.ascontiguousarray(chunk, chunk.dtype.newbyteorder("<"))
            piece = _with_checksum(compressor.compress(little.data))
            index[len(pieces)] = offset, len(piece)
            offset += len(piece)
            pieces.append(piece)
    pieces.append(_with_checksum(index.tobytes()))
    return b"".join(pieces)


def index_bytes(shard_rows: int, chunk_frames: int, columns: int = 1) -> int:
    """How many bytes at the end of a shard object are its index.

    Args:
        columns: chunks side by side in one row of chunks.
    """
    return 16 * (shard_rows // chunk_frames) * columns + _CHECKSUM_BYTES


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where the chunks of one shard object lie.

    Attributes:
        name: the object, for error messages.
        chunks: shape (rows of chunks, columns of chunks, 2), uint64: offset and length in bytes.
    """

    name: str
    chunks: NDArray[np.uint64]

    @classmethod
    def parse(cls, data: bytes | memoryview, name: str, columns: int = 1) -> ShardIndex:
        """Read the index from a shard object's last `index_bytes` bytes.

        Raises:
            CorruptDataError: its checksum does not match.
        """
        pairs = np.frombuffer(_without_checksum(memoryview(data), name), "<u8")
        return cls(name, pairs.reshape(-1, columns, 2))

    def span(self, first: int, last: int) -> tuple[int, int]:
        """(offset, length) of the bytes that hold rows of chunks ``first`` … ``last``, both included.

        Raises:
            CorruptDataError: the shard does not hold one of them.
        """
        if last >= len(self.chunks) or self.chunks[last, -1, 0] == _MISSING:
            raise CorruptDataError(f"{self.name} has no frames where its manifest says there are some.")
        # Chunks lie in order, so the first one begins the span and the last one ends it.
        start = int(self.chunks[first, 0, 0])
        return start, int(self.chunks[last, -1].sum()) - start

    def decode(
        self, data: memoryview, first: int, last: int, shape: tuple[int, ...], dtype: np.dtype[np.generic]
    ) -> NDArray[np.generic]:
        """Rows of chunks ``first`` … ``last`` from the bytes of `span`, checked and decompressed.

        Args:
            shape: of one chunk: (chunk frames,) or (chunk frames, chunk width).

        Returns:
            Shape (frames of all these chunks,) or (…, width) of ``dtype``.

        Raises:
            CorruptDataError: bytes are missing or a checksum does not match.
        """
        start, length = self.span(first, last)
        if len(data) != length:
            raise CorruptDataError(
                f"{self.name} is truncated: {len(data)} bytes where {length} were expected."
            )
        little = dtype.newbyteorder("<")
        # A row of a chunk is copied as one item, whatever numbers it holds.
        row = np.dtype((np.void, prod(shape[1:]) * little.itemsize))
        out = np.empty((last - first + 1, shape[0], self.chunks.shape[1]), row)
        decompressor = _decompressor()
        for rows, places in zip(out, self.chunks[first : last + 1].tolist(), strict=True):
            for column, (offset, size) in enumerate(places):
                packed = _without_checksum(data[offset - start : offset - start + size], self.name)
                chunk = self._decompress(decompressor, packed, shape[0] * row.itemsize)
                rows[:, column] = np.frombuffer(chunk, row)
        return out.view(little).reshape(-1, *(out.shape[2] * width for width in shape[1:]))

    def _decompress(self, decompressor: zstandard.ZstdDecompressor, packed: memoryview, size: int) -> bytes:
        try:
            # Asked first, because whatever size a chunk claims would be allocated.
            if zstandard.frame_content_size(packed) == size:
                return decompressor.decompress(packed)
        except zstandard.ZstdError as error:
            raise CorruptDataError(f"{self.name}: a chunk does not decompress: {error}.") from error
        raise CorruptDataError(f"{self.name}: a chunk does not hold the {size} bytes it should.")


def _decompressor() -> zstandard.ZstdDecompressor:
    """This thread's: one cannot be shared, and to make one takes longer than a chunk.

    python-zstandard rather than numcodecs: on chunks of 8 KiB that is twice as fast, and other threads run
    meanwhile.
    """
    if not hasattr(_of_thread, "decompressor"):
        _of_thread.decompressor = zstandard.ZstdDecompressor()
    found: zstandard.ZstdDecompressor = _of_thread.decompressor
    return found


def _with_checksum(data: bytes) -> bytes:
    return data + crc32c(data).to_bytes(_CHECKSUM_BYTES, "little")


def _without_checksum(data: memoryview, name: str) -> memoryview:
    body, stored = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if len(data) <= _CHECKSUM_BYTES or crc32c(body) != int.from_bytes(stored, "little"):
        raise CorruptDataError(f"{name} is damaged: its bytes do not match their checksum.")
    return body
