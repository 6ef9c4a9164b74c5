"""Batches as the service streams them: utterances or spans of them, encoded or softened, as Arrow IPC.

    with client.stream("POST", "https://host/v1/stores/demo/batch", json=asked) as response:
        for item in softstore.batches.read_batch(response.iter_bytes()):
            unpacked = store.codec.unpack(item.encoded())

The stream has a record batch of one row for every item that was asked for, in that order, with the columns
``utterance_id``, ``start``, ``stop`` (frames, the last exclusive), ``error`` (null, or why the item could not
be read: then the others are null), and lists with an element for each row of an array:

    targets/<array>     encoded: the codec's arrays as stored, in whole blocks, see `StoredUtterance.encoded`
    posteriors          (frames, classes), or with top_k (frames, k) beside ``classes``
    labels, features    (frames,), (frames, dimensions), if they were asked for

The schema's metadata has under ``softstore``, as JSON, what `BatchInfo` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from torch import Tensor

from softstore.codecs import Codec
from softstore.codecs.unpacked import span
from softstore.errors import CorruptDataError
from softstore.format import TARGETS

METADATA = b"softstore"

PLACE = ("utterance_id", "start", "stop", "error")
"""Columns that are no arrays."""


class BatchInfo(BaseModel):
    """What a whole batch has in common.

    Attributes:
        items: how many the stream has when it is whole.
        codec: its config, as in the store's attributes; None: posteriors.
        block_frames: encoded frames begin at a multiple of it.
        temperature: of the posteriors, or what encoded frames are to be decoded at.
    """

    items: int
    class_count: int
    codec: dict[str, Any] | None
    block_frames: int
    temperature: float


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One utterance, or a span of it.

    Attributes:
        arrays: what there is, by column; none if there is an error.
    """

    info: BatchInfo
    utterance_id: str
    start: int
    stop: int
    error: str | None
    arrays: Mapping[str, NDArray[Any]]

    def __getitem__(self, column: str) -> NDArray[Any]:
        """An array by its column; KeyError if it was not asked for.

        Raises:
            CorruptDataError: the service could not read this item.
        """
        if self.error is not None:
            raise CorruptDataError(f"{self.utterance_id}: {self.error}")
        return self.arrays[column]

    def encoded(self) -> dict[str, Tensor]:
        """As `StoredUtterance.encoded`; raises as ``item[column]``."""
        prefix = f"{TARGETS}/"
        columns = [column for column in self.arrays if column.startswith(prefix)]
        if self.error is not None:
            columns = [prefix]
        return {column.removeprefix(prefix): torch.from_numpy(self[column]) for column in columns}

    def log_posteriors(self, codec: Codec) -> Tensor:
        """log p_T of encoded frames at the batch's temperature: shape (frames, classes), float32.

        Args:
            codec: of the store, with its arrays: ``softstore.open(…).codec``.
        """
        skipped = self.start % self.info.block_frames
        frames = span(codec.unpack(self.encoded()), skipped, skipped + self.stop - self.start)
        return codec.decode(frames, self.info.class_count, self.info.temperature)


def read_batch(stream: bytes | Iterable[bytes]) -> Iterator[BatchItem]:
    """The items of a batch, each as soon as it has arrived.

    Args:
        stream: the answer's body, or its pieces.

    Raises:
        CorruptDataError: it is no batch, or it ends before it is whole.
    """
    pieces = iter([stream] if isinstance(stream, bytes) else stream)
    try:
        with pa.ipc.open_stream(pa.PythonFile(_Pieces(pieces), mode="r")) as reader:
            info = BatchInfo.model_validate_json((reader.schema.metadata or {}).get(METADATA, b""))
            count = 0
            for batch in reader:
                yield _item(info, batch)
                count += 1
    except (pa.ArrowException, OSError, ValidationError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise CorruptDataError(f"This is no whole batch: {reason} Ask for it again.") from error
    # Arrow takes a stream that breaks off between two of its messages for whole.
    if count != info.items:
        raise CorruptDataError(f"The batch broke off after {count} of {info.items} items: ask for it again.")


def _item(info: BatchInfo, batch: pa.RecordBatch) -> BatchItem:
    utterance_id, start, stop, error = (batch.column(name)[0].as_py() for name in PLACE)
    arrays = {
        name: _array(batch.column(name)[0].values)
        for name in batch.schema.names
        if name not in PLACE and batch.column(name).null_count == 0
    }
    return BatchItem(info, utterance_id, start, stop, error, arrays)


def _array(rows: pa.Array) -> NDArray[Any]:
    """A copy of its own, which torch may have and which does not hold the batch in memory."""
    if pa.types.is_fixed_size_list(rows.type):
        return np.array(rows.flatten().to_numpy()).reshape(len(rows), rows.type.list_size)
    return np.array(rows.to_numpy())


class _Pieces:
    """Pieces of bytes as a file that Arrow reads from."""

    closed = False

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, count: int) -> bytes:
        found = []
        while count > 0:
            if not self._left:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._left = memoryview(piece)
            found.append(self._left[:count])
            count -= len(found[-1])
            self._left = self._left[len(found[-1]) :]
        return b"".join(found)

    def close(self) -> None:
        self.closed = True
