"""One Zarr v3 shard ↔ bytes: the ``sharding_indexed`` codec with zstd and crc32c inside.

A shard object is its chunks one after another, each compressed with zstd and followed by its crc32c,
then the index: for every chunk its offset and length as little-endian uint64 (both 2⁶⁴ - 1 where there
is no chunk), and the index's own crc32c. Written by hand rather than through zarr-python because a span
of frames must cost one range request, and because the manifest needs each object's size and checksum.

Spec: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

from dataclasses import dataclass

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from softstore.errors import CorruptDataError

ZSTD_LEVEL = 1
_CHECKSUM_BYTES = 4
_MISSING = 2**64 - 1


def crc32c(data: bytes | memoryview) -> int:
    """The Castagnoli checksum of ``data``, as Zarr's crc32c codec has it."""
    return int(google_crc32c.value(bytes(data)))


def encode_shard(rows: NDArray[np.generic], shard_frames: int, chunk_frames: int) -> bytes:
    """A shard object from its first rows; chunks beyond them stay absent.

    Args:
        rows: shape (frames,) or (frames, width) with frames ≤ ``shard_frames``.
    """
    compressor = Zstd(level=ZSTD_LEVEL)
    index = np.full((shard_frames // chunk_frames, 2), _MISSING, "<u8")
    pieces: list[bytes] = []
    offset = 0
    for number, start in enumerate(range(0, len(rows), chunk_frames)):
        chunk = rows[start : start + chunk_frames]
        if len(chunk) < chunk_frames:
            padding = np.zeros((chunk_frames - len(chunk), *rows.shape[1:]), rows.dtype)
            chunk = np.concatenate([chunk, padding])
        little = np.ascontiguousarray(chunk, chunk.dtype.newbyteorder("<"))
        piece = _with_checksum(bytes(compressor.encode(little)))
        index[number] = offset, len(piece)
        offset += len(piece)
        pieces.append(piece)
    pieces.append(_with_checksum(index.tobytes()))
    return b"".join(pieces)


def index_bytes(shard_frames: int, chunk_frames: int) -> int:
    """How many bytes at the end of a shard object are its index."""
    return 16 * (shard_frames // chunk_frames) + _CHECKSUM_BYTES


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where the chunks of one shard object lie.

    Attributes:
        name: the object, for error messages.
        chunks: shape (chunks, 2), uint64: offset and length in bytes.
    """

    name: str
    chunks: NDArray[np.uint64]

    @classmethod
    def parse(cls, data: bytes | memoryview, name: str) -> ShardIndex:
        """Read the index from a shard object's last bytes.

        Raises:
            CorruptDataError: its checksum does not match.
        """
        return cls(name, np.frombuffer(_without_checksum(data, name), "<u8").reshape(-1, 2))

    def span(self, first: int, last: int) -> tuple[int, int]:
        """(offset, length) of the bytes that hold chunks ``first`` … ``last``, both included.

        Raises:
            CorruptDataError: the shard does not hold one of them.
        """
        wanted = self.chunks[first : last + 1]
        if len(wanted) != last - first + 1 or (wanted == _MISSING).any():
            raise CorruptDataError(f"{self.name} has no frames where its manifest says there are some.")
        start = int(wanted[:, 0].min())
        return start, int((wanted[:, 0] + wanted[:, 1]).max()) - start

    def decode(
        self, data: memoryview, first: int, last: int, shape: tuple[int, ...], dtype: np.dtype[np.generic]
    ) -> NDArray[np.generic]:
        """Chunks ``first`` … ``last`` from the bytes of `span`, checked and decompressed.

        Args:
            shape: of one chunk.

        Returns:
            Shape (chunks x chunk frames, …) of ``dtype``.

        Raises:
            CorruptDataError: bytes are missing or a checksum does not match.
        """
        start, length = self.span(first, last)
        if len(data) != length:
            raise CorruptDataError(
                f"{self.name} is truncated: {len(data)} bytes where {length} were expected."
            )
        little = dtype.newbyteorder("<")
        out = np.empty((last - first + 1, *shape), little)
        decompressor = Zstd()
        for number in range(first, last + 1):
            offset, size = int(self.chunks[number, 0]) - start, int(self.chunks[number, 1])
            packed = _without_checksum(data[offset : offset + size], self.name)
            try:
                decompressor.decode(packed, out=out[number - first])
            except (RuntimeError, ValueError) as error:
                raise CorruptDataError(f"{self.name}: chunk {number} does not decompress: {error}") from error
        return out.reshape(-1, *shape[1:])


def _with_checksum(data: bytes) -> bytes:
    return data + crc32c(data).to_bytes(_CHECKSUM_BYTES, "little")


def _without_checksum(data: bytes | memoryview, name: str) -> memoryview:
    view = memoryview(data)
    body, stored = view[:-_CHECKSUM_BYTES], view[-_CHECKSUM_BYTES:]
    if len(view) <= _CHECKSUM_BYTES or crc32c(body) != int.from_bytes(stored, "little"):
        raise CorruptDataError(f"{name} is damaged: its bytes do not match their checksum.")
    return body
