"""What a codec needs once (a basis, a mean): Zarr v3 arrays of one chunk each below ``codec/``.

A chunk object is the array's little-endian bytes, zstd, then the crc32c of what zstd gave. Its size and
its SHA-256 stand in the store's attributes.
"""

from __future__ import annotations

import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray
from pydantic import ValidationError

from softstore.errors import CorruptDataError, InvalidInputError, NotFoundError
from softstore.format import Attributes, CodecArray, codec_object
from softstore.sharding import ZSTD_LEVEL, crc32c, sha256
from softstore.storage import Storage

_CHECKSUM_BYTES = 4


def encode_codec_array(name: str, array: NDArray[np.generic]) -> tuple[CodecArray, bytes]:
    """Its entry in the attributes, and its chunk object.

    Raises:
        InvalidInputError: the array is empty, has no dimension, or a type that is not stored.
    """
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    packed = bytes(Zstd(level=ZSTD_LEVEL).encode(little))
    data = packed + crc32c(packed).to_bytes(_CHECKSUM_BYTES, "little")
    entry = {"dtype": array.dtype.name, "shape": list(array.shape), "size": len(data), "sha256": sha256(data)}
    try:
        return CodecArray.model_validate(entry), data
    except ValidationError as error:
        raise InvalidInputError(
            f"The codec array {name!r} of shape {array.shape} and type {array.dtype} cannot be stored: "
            f"{error.errors()[0]['msg']}."
        ) from error


def read_codec_arrays(storage: Storage, attributes: Attributes) -> dict[str, NDArray[np.generic]]:
    """All of a store's codec arrays by name, every checksum checked.

    Raises:
        CorruptDataError: one is missing or damaged.
    """
    return {name: _read(storage, name, array) for name, array in attributes.codec_arrays.items()}


def _read(storage: Storage, name: str, array: CodecArray) -> NDArray[np.generic]:
    path = codec_object(name, array)
    try:
        data = storage.get(path)
    except NotFoundError as error:
        raise CorruptDataError(
            f"{path} is missing in {storage.url}, although its attributes list it."
        ) from error
    packed, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if (
        len(data) != array.size
        or sha256(data) != array.sha256
        or crc32c(packed) != int.from_bytes(checksum, "little")
    ):
        raise CorruptDataError(f"{path} in {storage.url} is damaged: its bytes do not match their checksum.")
    out = np.empty(array.shape, np.dtype(array.dtype).newbyteorder("<"))
    try:
        Zstd().decode(packed, out=out)
    except (RuntimeError, ValueError) as error:
        raise CorruptDataError(f"{path} in {storage.url} does not decompress: {error}") from error
    return out.astype(array.dtype, copy=False)
