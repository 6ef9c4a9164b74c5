"""A batch as an Arrow IPC stream, made a group of items at a time; `softstore.batches` says what is in it.

Every item is an Arrow message that hangs on nothing but itself and the store, so it can be kept ready.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from api import metrics
from api.batch_columns import END, array_field, message, one_row, schema_message, schema_of
from api.batch_request import Item, Softened
from api.cache import Cache, Key
from api.limits import BATCH_FRAMES, NPY_FRAMES, PIECE_BYTES
from api.problems import too_much
from softstore.batches import BatchInfo
from softstore.codecs import Codec
from softstore.errors import CorruptDataError, InvalidInputError, NotFoundError
from softstore.format import TARGETS, Attributes
from softstore.utterance import SoftTargets, StoredUtterance

_GROUP_BYTES = 256 * 1024
"""Items are sent together until they have so many bytes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the utterances of a batch come from: a store, or several as one.

    Attributes:
        key: what it is known by in the cache, its name in the metrics first.
        attributes: those of the store, or of the first.
        find: an utterance by its id; raises `NotFoundError`.
        codec: whose arrays are wanted; None: posteriors.
        public: an error's message without what clients need not know.
    """

    key: Key
    attributes: Attributes
    find: Callable[[str], SoftTargets]
    codec: Codec | None
    public: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class _Span:
    item: Item
    utterance: SoftTargets
    start: int
    stop: int


class Batch:
    """What is asked of one source."""

    def __init__(self, source: Source, asked: Softened, cache: Cache[bytes]) -> None:
        self._source = source
        self._asked = asked
        self._cache = cache
        softened = () if source.codec else (asked.temperature, asked.dtype, asked.top_k)
        self._key = *source.key, bool(source.codec), softened, asked.tracks

    def ready(self, most_bytes: int) -> bytes | None:
        """The whole stream, if all of it is kept and has no more bytes than that."""
        messages: list[bytes] = []
        for item in self._asked.items:
            kept = self._cache.get((*self._key, *item.place), counted=False)
            most_bytes -= len(kept or b"")
            if kept is None or most_bytes < 0:
                return None
            messages.append(kept)
        metrics.cache_hit(self._source.key[0], len(messages))
        # Not before: where nothing is kept, nobody has looked yet whether there are so many classes.
        return b"".join((self._head(), *messages, END))

    def spans(self) -> list[_Span]:
        """All that is asked for, looked up.

        Raises:
            NotFoundError: there is no such utterance, or no such track.
            InvalidInputError: a span that an utterance does not have, or more classes than there are.
            ProblemError: 422, too many frames.
        """
        attributes = self._source.attributes
        for track in self._asked.tracks:
            if track not in attributes.tracks:
                raise NotFoundError(f"There is no {track} track in store {self._source.key[0]}.")
        if self._asked.top_k is not None and self._asked.top_k > attributes.class_count:
            raise InvalidInputError(
                f"top_k must lie between 1 and the {attributes.class_count} classes, not {self._asked.top_k}."
            )
        spans = [self._span(item) for item in self._asked.items]
        frames = sum(span.stop - span.start for span in spans)
        if frames > BATCH_FRAMES:
            raise too_much(
                f"A batch has at most {BATCH_FRAMES} frames, not {frames}: send several.", BATCH_FRAMES
            )
        return spans

    async def pieces(self, spans: list[_Span]) -> AsyncIterator[bytes | memoryview]:
        """The stream, of the spans that `spans` gave.

        Raises:
            StorageError: the storage went away in the middle.
        """
        waiting = iter(spans)
        # Before the first byte, so that a storage that does not answer is a problem like any other.
        group = await run_in_threadpool(self._group, waiting)
        yield self._head()
        while group:
            # A long item is larger than what a server should have to copy at once.
            for start in range(0, len(group), PIECE_BYTES):
                yield group[start : start + PIECE_BYTES]
            group = await run_in_threadpool(self._group, waiting)
        yield END

    def _span(self, item: Item) -> _Span:
        utterance = self._source.find(item.utterance_id)
        start, stop = utterance.span(item.start, item.stop)
        if stop - start > NPY_FRAMES:
            raise too_much(
                f"An item has at most {NPY_FRAMES} frames, not {stop - start}: ask for spans.", NPY_FRAMES
            )
        return _Span(item, utterance, start, stop)

    def _group(self, waiting: Iterator[_Span]) -> memoryview:
        messages: list[memoryview] = []
        size = 0
        for span in waiting:
            messages.append(self._message(span))
            size += len(messages[-1])
            if size >= _GROUP_BYTES:
                break
        return messages[0] if len(messages) == 1 else memoryview(b"".join(messages))

    def _message(self, span: _Span) -> memoryview:
        key = *self._key, *span.item.place
        kept = self._cache.get(key)
        if kept is not None:
            return memoryview(kept)
        place = {"utterance_id": span.item.utterance_id, "start": span.start, "stop": span.stop}
        compress = self._source.codec is not None
        try:
            arrays = self._arrays(span)
        except CorruptDataError as error:
            _log.error("%s", error)
            metrics.corrupt_answer(self._source.key[0])
            place["error"] = self._source.public(str(error))
            return message(one_row(self._schema, place, {}), compress)
        metrics.frames_decoded(self._source.key[0], span.stop - span.start)
        made = message(one_row(self._schema, place, arrays), compress)
        if self._cache.takes(len(made)):
            # A copy: this is a view of a buffer with room to spare.
            self._cache.put(key, bytes(made))
        return made

    def _arrays(self, span: _Span) -> dict[str, NDArray[np.generic]]:
        utterance, start, stop = span.utterance, span.start, span.stop
        tracks = {track: utterance.read(track, start, stop) for track in self._asked.tracks}
        if self._source.codec is not None:
            assert isinstance(utterance, StoredUtterance)
            encoded = utterance.encoded(start, stop)
            return {f"{TARGETS}/{name}": array.numpy() for name, array in encoded.items()} | tracks
        temperature, dtype = self._asked.temperature, np.dtype(self._asked.dtype)
        if self._asked.top_k is None:
            dense = utterance.posteriors(temperature, start, stop)
            return {"posteriors": dense.astype(dtype, copy=False)} | tracks
        top = utterance.top_k(self._asked.top_k, temperature, start, stop)
        posteriors = top.posteriors.astype(dtype, copy=False)
        return {"classes": top.classes.astype(np.uint32), "posteriors": posteriors} | tracks

    @cached_property
    def _schema(self) -> pa.Schema:
        attributes, asked, codec = self._source.attributes, self._asked, self._source.codec
        fields = []
        if codec is not None:
            specs = codec.tracks(attributes.class_count)
            fields += [
                array_field(f"{TARGETS}/{name}", spec.dtype, spec.width) for name, spec in specs.items()
            ]
        elif asked.top_k is None:
            fields += [array_field("posteriors", asked.dtype, attributes.class_count)]
        else:
            fields += [array_field("classes", "uint32", asked.top_k)]
            fields += [array_field("posteriors", asked.dtype, asked.top_k)]
        for track in asked.tracks:
            spec = attributes.tracks[track]
            fields.append(array_field(track, spec.dtype, spec.width))
        info = BatchInfo(
            items=len(asked.items),
            class_count=attributes.class_count,
            codec=attributes.codec if codec else None,
            block_frames=attributes.block_frames,
            temperature=asked.temperature,
        )
        return schema_of(fields, info)

    def _head(self) -> bytes:
        key = *self._key, self._asked.temperature, len(self._asked.items)
        head = self._cache.get(key, counted=False)
        if head is None:
            head = schema_message(self._schema)
            self._cache.put(key, head)
        return head
