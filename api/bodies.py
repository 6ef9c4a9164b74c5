"""Bodies of answers in npy and Arrow, in pieces that are the arrays' own memory: nothing is copied."""

from __future__ import annotations

import asyncio
import io
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.batch_columns import END
from api.formats import ARROW, JSON, NPY, JsonResponse
from api.sending import send_pieces

Piece = bytes | memoryview

METADATA = b"softstore"
"""The key of what an Arrow schema says of its rows, in JSON."""

_RUN_PIECES = 4
"""Made by a thread at a time, sent meanwhile: as many as may wait in memory for a slow client."""


class PieceResponse(Response):
    """A body that threads make while it is sent. What fails before its first piece is there is a problem, and
    not a broken answer.

    Args:
        begin: what comes before the pieces.
        length: bytes of it all.
    """

    def __init__(
        self,
        begin: bytes,
        pieces: Iterator[Piece],
        media_type: str,
        headers: Mapping[str, str],
        length: int,
    ) -> None:
        super().__init__(None, headers=headers, media_type=media_type)
        self.headers["content-length"] = str(length)
        self._begin = begin
        self._waiting = pieces
        self._left = length - len(begin)
        self._made: asyncio.Queue[Piece | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.send(receive, send, self._make_more())

    async def send(self, receive: Receive, send: Send, making: Awaitable[bool]) -> None:
        """The answer, whose first pieces are what ``making`` makes."""
        await send_pieces(receive, send, self.status_code, self.raw_headers, self._pieces(making))

    def make(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Make the next pieces, for ``loop`` to send; whether those were the last ones."""
        count = 0
        try:
            for piece in islice(self._waiting, _RUN_PIECES):
                count += 1
                self._left -= len(piece)
                loop.call_soon_threadsafe(self._made.put_nowait, piece)
        finally:
            loop.call_soon_threadsafe(self._made.put_nowait, None)
        # The client may have everything already: another turn, to find nothing left, would keep it waiting.
        return self._left == 0 or count < _RUN_PIECES

    async def _pieces(self, making: Awaitable[bool]) -> AsyncIterator[Piece]:
        begin: Piece | None = self._begin or None
        while True:
            while (piece := await self._made.get()) is not None:
                if begin is not None:
                    yield begin
                    begin = None
                yield piece
            if await making:
                break
            making = self._make_more()
        if begin is not None:
            yield begin

    def _make_more(self) -> asyncio.Future[bool]:
        return asyncio.ensure_future(run_in_threadpool(self.make, asyncio.get_running_loop()))


async def respond_in_thread(
    respond: Callable[[], Response], scope: Scope, receive: Receive, send: Send
) -> None:
    """Have one thread find out what to answer, and go on to make it while it is sent.

    Args:
        respond: called by the thread; what it raises is raised.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Response] = loop.create_future()

    def work() -> bool:
        response = respond()
        loop.call_soon_threadsafe(found.set_result, response)
        return response.make(loop) if isinstance(response, PieceResponse) else True

    making = asyncio.ensure_future(run_in_threadpool(work))
    await asyncio.wait((making, found), return_when=asyncio.FIRST_COMPLETED)
    response = await (found if found.done() else making)
    assert isinstance(response, Response)
    if isinstance(response, PieceResponse):
        await response.send(receive, send, making)
    else:
        await response(scope, receive, send)


def npy_response(
    arrays: Iterable[NDArray[Any]], dtype: DTypeLike, shape: Sequence[int], headers: Mapping[str, str]
) -> Response:
    """One array as NumPy's npy, without pickle.

    Args:
        arrays: its rows, one after another, in C order.
    """
    kind = np.dtype(dtype)
    begin = _npy_header(kind, shape)
    length = len(begin) + kind.itemsize * math.prod(shape)
    return PieceResponse(begin, map(_memory, arrays), NPY, headers, length)


def arrow_response(
    arrays: Iterable[Mapping[str, NDArray[Any]]],
    empty: Mapping[str, NDArray[Any]],
    rows: Sequence[int],
    described: Mapping[str, Any],
    headers: Mapping[str, str],
) -> Response:
    """A stream of record batches with a row for each frame; columns of several numbers are fixed-size lists.

    Args:
        arrays: some frames at a time, columns by name, (frames,) or (frames, width), in C order.
        empty: the same of no frames.
        rows: frames of each of ``arrays``.
        described: what the schema's `METADATA` says.
    """
    schema = _batch(empty).schema.with_metadata({METADATA: orjson.dumps(described)})
    sink = _Sink()
    writer = pa.ipc.new_stream(pa.PythonFile(sink, "w"), schema)

    def pieces() -> Iterator[Piece]:
        for columns in arrays:
            writer.write_batch(_batch(columns))
            yield from sink.taken()
        writer.close()
        yield from sink.taken()

    length = len(schema.serialize()) + len(END)
    length += sum(_batch_bytes(empty, frames) * count for frames, count in Counter(rows).items())
    # The writer begins with the schema when it has a batch, or ends.
    return PieceResponse(b"", pieces(), ARROW, headers, length)


def array_response(
    name: str,
    array: NDArray[Any],
    described: Mapping[str, Any],
    media_type: str,
    headers: Mapping[str, str],
) -> Response:
    """One array of a few numbers a frame, as JSON, npy or Arrow."""
    array = np.ascontiguousarray(array)
    if media_type == JSON:
        return JsonResponse({**described, name: array}, headers=headers)
    if media_type == NPY:
        return npy_response([array], array.dtype, array.shape, headers)
    return arrow_response([{name: array}], {name: array[:0]}, [len(array)], described, headers)


def columns_response(
    rows: NDArray[np.void], described: Mapping[str, Any], media_type: str, headers: Mapping[str, str]
) -> Response:
    """A structured array, (frames,): in JSON and Arrow with a column for each field."""
    if media_type == NPY:
        return npy_response([rows], rows.dtype, rows.shape, headers)
    columns = {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}
    if media_type == JSON:
        return JsonResponse({**described, **columns}, headers=headers)
    empty = {name: array[:0] for name, array in columns.items()}
    return arrow_response([columns], empty, [len(rows)], described, headers)


class _Sink(io.RawIOBase):
    """What an Arrow writer writes: small pieces joined, columns as they are."""

    def __init__(self) -> None:
        super().__init__()
        self._small = bytearray()
        self._pieces: list[Piece] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if isinstance(data, bytes):
            self._small += data
        else:
            self._flush_small()
            self._pieces.append(memoryview(data))
        return len(data)

    def taken(self) -> list[Piece]:
        self._flush_small()
        pieces, self._pieces = self._pieces, []
        return pieces

    def _flush_small(self) -> None:
        if self._small:
            self._pieces.append(bytes(self._small))
            self._small.clear()


def _batch(columns: Mapping[str, NDArray[Any]]) -> pa.RecordBatch:
    return pa.record_batch({name: _column(array) for name, array in columns.items()})


def _batch_bytes(empty: Mapping[str, NDArray[Any]], frames: int) -> int:
    """Of a record batch of so many frames, whatever they are."""
    alike = {name: np.empty((frames, *array.shape[1:]), array.dtype) for name, array in empty.items()}
    return int(pa.ipc.get_record_batch_size(_batch(alike)))


def _column(array: NDArray[Any]) -> pa.Array:
    kind = pa.from_numpy_dtype(array.dtype)
    values = pa.Array.from_buffers(kind, array.size, [None, pa.py_buffer(_memory(array))])
    return values if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(values, array.shape[1])


def _memory(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _npy_header(dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    buffer = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()
