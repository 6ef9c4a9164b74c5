"""Arrays of frames as Arrow: a row for an item, and in it lists with an element for every frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.batches import METADATA, BatchInfo

END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""How an Arrow stream ends."""

_PLACE = [
    pa.field("utterance_id", pa.string(), nullable=False),
    pa.field("start", pa.int64(), nullable=False),
    pa.field("stop", pa.int64(), nullable=False),
    pa.field("error", pa.string()),
]
_PLAIN, _COMPRESSED = pa.ipc.IpcWriteOptions(), pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))


def array_field(name: str, dtype: str, width: int | None) -> pa.Field:
    """A column for arrays (rows, width), or (rows,) if there is none."""
    kind = pa.from_numpy_dtype(np.dtype(dtype))
    return pa.field(name, pa.list_(kind if width is None else pa.list_(kind, width)))


def schema_of(fields: list[pa.Field], info: BatchInfo) -> pa.Schema:
    """Of a batch with these arrays."""
    return pa.schema([*_PLACE, *fields], {METADATA: info.model_dump_json().encode()})


def one_row(
    schema: pa.Schema, place: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
) -> pa.RecordBatch:
    """An item's record batch; columns for which there is nothing are null."""
    columns = [
        _list_of(arrays[field.name])
        if field.name in arrays
        else pa.array([place.get(field.name)], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def schema_message(schema: pa.Schema) -> bytes:
    """How the stream begins."""
    return bytes(schema.serialize())


def message(batch: pa.RecordBatch, compress: bool) -> memoryview:
    """A record batch as it stands in the stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_COMPRESSED if compress else _PLAIN) as writer:
        writer.write_batch(batch)
    return memoryview(sink.getvalue())[len(batch.schema.serialize()) : -len(END)]


def _list_of(array: NDArray[np.generic]) -> pa.Array:
    rows = pa.array(np.ascontiguousarray(array).reshape(-1))
    if array.ndim == 2:
        rows = pa.FixedSizeListArray.from_arrays(rows, array.shape[1])
    return pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), rows)
