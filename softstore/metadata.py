"""Every ``zarr.json`` of a store, byte for byte a function of its attributes, and the way back.

Written by hand rather than by zarr-python: whatever version is installed, the same attributes give the same
bytes, so that what lies in a store can be compared with what should lie there.

Canonical JSON: sorted keys, no spaces, UTF-8. The root carries ``softstore`` (the `Attributes`) and
``softstore_crc32c``, the crc32c of the canonical JSON of ``softstore``, which are the very bytes between
``"softstore":`` and ``,"softstore_crc32c"`` in the file.

Spec: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from softstore import format as layout
from softstore.codecs.base import DType, TrackSpec
from softstore.errors import CorruptDataError, FormatError, InvalidInputError, NotAStoreError
from softstore.format import ATTRIBUTES_KEY, CHECKSUM_KEY, FORMAT_VERSION, ROOT_METADATA, Attributes
from softstore.sharding import ZSTD_LEVEL, crc32c

_BYTE_WIDE = ("int8", "uint8")


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8.

    Raises:
        ValueError: something that JSON cannot say, such as NaN.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def metadata_objects(attributes: Attributes) -> dict[str, bytes]:
    """All ``zarr.json`` of a store by path; the root is the last.

    Raises:
        InvalidInputError: the attributes hold something that JSON cannot say.
    """
    arrays = {track: _track(spec, attributes) for track, spec in attributes.tracks.items()}
    for name, array in attributes.codec_arrays.items():
        path = layout.codec_array(name, array)
        arrays[path] = _array(array.dtype, array.shape, array.shape, _packed(array.dtype))
    # Objects that are no arrays get a group around them, so that Zarr readers take them for what they are.
    groups = {layout.MANIFEST, layout.LANG} if attributes.kind == "corpus" else {layout.MANIFEST}
    groups |= {str(parent) for path in arrays for parent in PurePosixPath(path).parents} - {"."}
    found = {path: canonical_json(arrays.get(path) or _group({})) for path in sorted(groups | arrays.keys())}
    return {f"{path}/{ROOT_METADATA}": data for path, data in found.items()} | {
        ROOT_METADATA: _root(attributes)
    }


def parse_root(data: bytes, url: str) -> Attributes:
    """The attributes in a root ``zarr.json``.

    Raises:
        NotAStoreError: it is not one of ours.
        CorruptDataError: its attributes do not match their checksum.
        FormatError: it is of a version this release does not know, or its attributes make no sense.
    """
    try:
        root: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotAStoreError(
            f"{url} is not a softstore store or corpus: its zarr.json is not JSON."
        ) from error
    ours = isinstance(root, dict) and root.get("zarr_format") == 3 and root.get("node_type") == "group"
    attributes = root.get("attributes") if ours else None
    found = attributes.get(ATTRIBUTES_KEY) if isinstance(attributes, dict) else None
    if not isinstance(attributes, dict) or not isinstance(found, dict):
        raise NotAStoreError(
            f"{url} is not a softstore store or corpus: its zarr.json has no softstore attributes."
        )
    if not _matches(found, attributes.get(CHECKSUM_KEY)):
        raise CorruptDataError(
            f"The attributes in {ROOT_METADATA} of {url} are damaged: they do not match their checksum."
        )
    if found.get("format") != FORMAT_VERSION:
        raise FormatError(
            f"{url} has format version {found.get('format')!r}, this release reads {FORMAT_VERSION}: "
            "install a newer softstore."
        )
    try:
        return Attributes.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise FormatError(f"The attributes of {url} make no sense: {where}{first['msg']}.") from error


def _matches(found: dict[str, Any], checksum: object) -> bool:
    try:
        return crc32c(canonical_json(found)) == checksum
    except ValueError:
        return False


def _root(attributes: Attributes) -> bytes:
    ours = attributes.model_dump(mode="json")
    try:
        return canonical_json(_group({ATTRIBUTES_KEY: ours, CHECKSUM_KEY: crc32c(canonical_json(ours))}))
    except ValueError as error:
        raise InvalidInputError(f"The attributes of a store cannot be written as JSON: {error}.") from error


def _group(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _track(spec: TrackSpec, attributes: Attributes) -> dict[str, Any]:
    width = [] if spec.width is None else [spec.width]
    chunk_width = [] if spec.width is None else [spec.chunk_width or spec.width]
    shard_rows = spec.shard_rows(attributes.shard_frames)
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [attributes.chunk_frames, *chunk_width],
            "codecs": _packed(spec.dtype),
            "index_codecs": [_little("uint64"), {"name": "crc32c"}],
            "index_location": "end",
        },
    }
    return _array(
        spec.dtype,
        [attributes.shards * shard_rows, *width],
        [shard_rows, *width],
        [sharding],
    ) | {"dimension_names": ["row" if spec.ragged else "frame", *(None for _ in width)]}


def _array(
    dtype: DType, shape: list[int], chunk_shape: list[int], codecs: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0 if dtype.startswith("float") else 0,
        "codecs": codecs,
        "attributes": {},
        "storage_transformers": [],
    }


def _packed(dtype: str) -> list[dict[str, Any]]:
    zstd = {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}}
    return [_little(dtype), zstd, {"name": "crc32c"}]


def _little(dtype: str) -> dict[str, Any]:
    return {"name": "bytes"} if dtype in _BYTE_WIDE else _LITTLE_ENDIAN


_LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
