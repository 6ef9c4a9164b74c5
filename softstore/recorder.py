"""A store written utterance by utterance, for people with an inference loop of their own."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from torch import Tensor

from softstore import format as layout
from softstore.codecs import Codec, Fidelity, FittedToSample, TrackSpec
from softstore.codecs.transform.fidelity import SAMPLE_FRAMES
from softstore.columns import Columns
from softstore.encoding import EncodedUtterance, encode_utterance, normalise
from softstore.errors import ConflictError, InvalidInputError, NotAStoreError
from softstore.format import FEATURES, LABELS, Attributes
from softstore.frames import Frames
from softstore.planner import padded_frames
from softstore.publishing import CREATED_BY, open_or_create, publish, with_codec
from softstore.sampling import stored_codec
from softstore.softening import CERTIFICATE_TEMPERATURES
from softstore.storage import Storage, open_storage
from softstore.store import Store
from softstore.tracks import feature_track, label_track, number_tensor, track_spec
from softstore.writer import Writer, require_vacant


@dataclass(frozen=True, slots=True)
class _Posteriors:
    """One utterance before it is encoded."""

    row: dict[str, Any]
    log_posteriors: Tensor
    tracks: dict[str, NDArray[Any]]


class Recorder:
    """Writes a store from a teacher's outputs; made by `softstore.create`, for use in a ``with`` statement.

    Utterances are encoded and certified as they come and published shard by shard, whole. At the end of the
    ``with`` the last, partly filled shard is published too. After an exception the finished shards stay and
    what waits for its shard to fill is dropped: running the loop again, without every ``utterance_id in
    recorder``, completes the store. One recorder writes a store at a time.
    """

    def __init__(self, storage: Storage, wanted: Attributes, codec: Codec | FittedToSample) -> None:
        self.url = storage.url
        self._storage = storage
        self._wanted = wanted
        self._asked = codec
        self._codec: Codec | None = None
        self._sample: dict[str, _Posteriors] = {}
        self._writer: Writer | None = None
        self._published: set[str] = set()
        self._shards: set[int] = set()
        self._waiting: dict[str, EncodedUtterance] = {}
        self._columns = Columns()
        self._closed = False
        try:
            frames = Frames(storage)
        except NotAStoreError:
            require_vacant(storage)
            return
        store = Store(frames)
        if isinstance(codec, FittedToSample):
            stored_codec(storage, codec)
        own = {name: spec for name, spec in store.attributes.tracks.items() if name in (FEATURES, LABELS)}
        self._begin(own, store.codec if isinstance(codec, FittedToSample) else codec)
        self._codec = store.codec
        self._published = set(store.manifest.table["utterance_id"].to_pylist())
        self._shards = set(store.manifest.shards)
        self._columns = Columns(store.manifest.table.schema)

    def __contains__(self, utterance_id: object) -> bool:
        """Whether it is in the store already, or waits for its shard to fill."""
        return any(utterance_id in held for held in (self._published, self._waiting, self._sample))

    def add(
        self,
        utterance_id: str,
        log_posteriors: ArrayLike | Tensor,
        *,
        features: ArrayLike | Tensor | None = None,
        labels: ArrayLike | Tensor | None = None,
        speaker: str = "",
        split: str = "train",
        text: str = "",
        **columns: str | bool | int | float | None,
    ) -> None:
        """Encode one utterance; nothing of it is kept where this raises.

        An error of the storage, or of fitting the codec, closes the recorder: what was published stays, and
        the others are to be added to a new one.

        The first utterance of a store decides whether there are features and labels, and of what type.

        Args:
            utterance_id: any text that is not empty.
            log_posteriors: or logits: shape (frames, classes), any number type, NumPy or torch, any device.
                They are normalised; a class of -inf is ruled out: `softstore.encoding.LOWEST_LOG_POSTERIOR`
                is stored.
            features: shape (frames, dimensions): float16 is stored as it is, other types as float32.
            labels: shape (frames,), integers: the senone of each frame.
            columns: more for the manifest, to select by: text, numbers, true or false, None.

        Raises:
            ConflictError: the utterance is there already.
            InvalidInputError: something of it cannot be used; the message says what.
            StorageError: a shard was full and could not be published.
        """
        if self._closed:
            raise InvalidInputError(f"The recorder of {self.url} is closed: open another one to add more.")
        given = {"utterance_id": utterance_id, "speaker": speaker, "split": split, "text": text, **columns}
        row = self._columns.check(given)
        if utterance_id in self:
            raise ConflictError(f"Utterance {utterance_id!r} is in {self.url} already: give each its own id.")
        logits = number_tensor(log_posteriors, "logits", utterance_id)
        frames = len(logits) if logits.ndim else 0
        self._check_length(utterance_id, frames)
        posteriors = normalise(logits, frames, self._wanted.class_count, utterance_id)
        tracks = self._tracks(utterance_id, frames, features, labels)
        given_posteriors = _Posteriors({**row, "num_frames": frames}, posteriors, tracks)
        if self._codec is None and isinstance(self._asked, FittedToSample):
            self._columns.keep(row)
            self._sample[utterance_id] = given_posteriors
            if sum(len(held.log_posteriors) for held in self._sample.values()) >= SAMPLE_FRAMES:
                self._fit()
            return
        self._encode(utterance_id, given_posteriors)
        self._columns.keep(row)

    def close(self) -> None:
        """Publish what waits, and record what is published; a ``with`` statement does it."""
        if self._closed:
            return
        if self._sample:
            self._fit()
        if self._waiting:
            self._publish()
        if self._writer is not None:
            self._writer.finish()
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        self._closed = True

    def _fit(self) -> None:
        """Fit the codec to what came so far, and encode that."""
        assert isinstance(self._asked, FittedToSample)
        with self._closed_by_errors():
            self._codec = self._asked.fit([held.log_posteriors for held in self._sample.values()])
            sample, self._sample = self._sample, {}
            for utterance_id, given in sample.items():
                self._encode(utterance_id, given)

    @contextmanager
    def _closed_by_errors(self) -> Iterator[None]:
        """What fails between utterances leaves no half state behind to go on from."""
        try:
            yield
        except BaseException:
            self._closed = True
            self._sample.clear()
            self._waiting.clear()
            raise

    def _encode(self, utterance_id: str, given: _Posteriors) -> None:
        if self._codec is None:
            assert not isinstance(self._asked, FittedToSample)
            self._codec = self._asked
        if self._writer is None:
            self._begin({name: track_spec(array) for name, array in given.tracks.items()}, self._codec)
        encoded = encode_utterance(
            self._codec, given.log_posteriors, self._wanted.certificate_temperatures, given.row, given.tracks
        )
        if self._occupied(*self._waiting.values(), encoded) > self._wanted.shard_frames:
            self._publish()
        self._waiting[utterance_id] = encoded

    def _begin(self, tracks: dict[str, TrackSpec], codec: Codec) -> None:
        wanted = with_codec(self._wanted, codec)
        wanted = wanted.model_copy(update={"tracks": tracks | wanted.tracks})
        self._writer = open_or_create(self._storage, wanted, codec.arrays())
        self._wanted = self._writer.attributes

    def _publish(self) -> None:
        assert self._writer is not None
        shard = next(shard for shard in itertools.count() if shard not in self._shards)
        with self._closed_by_errors():
            self._writer.allocate(shard + 1)
            if not publish(self._writer, shard, list(self._waiting.values())):
                raise ConflictError(
                    f"Somebody else published shard {shard} of {self.url} meanwhile: let one recorder write "
                    "at a time, and add what is not in the store again."
                )
        self._shards.add(shard)
        self._published.update(self._waiting)
        self._waiting.clear()

    def _occupied(self, *utterances: EncodedUtterance) -> int:
        block = self._wanted.block_frames
        return sum(padded_frames(utterance.frames, block) for utterance in utterances)

    def _check_length(self, utterance_id: str, frames: int) -> None:
        room = self._wanted.shard_frames
        if not frames:
            raise InvalidInputError(f"Utterance {utterance_id!r} has no frames: leave it out.")
        if frames > room:
            raise InvalidInputError(
                f"Utterance {utterance_id!r} has {frames} frames, a shard has room for {room}: cut it, or "
                "make the store with larger shards (shard_frames)."
            )

    def _tracks(
        self,
        utterance_id: str,
        frames: int,
        features: ArrayLike | Tensor | None,
        labels: ArrayLike | Tensor | None,
    ) -> dict[str, NDArray[Any]]:
        """Checked features and labels, in the types they are stored in."""
        tracks = {}
        if features is not None:
            tracks[FEATURES] = feature_track(features, frames, utterance_id)
        if labels is not None:
            tracks[LABELS] = label_track(labels, frames, self._wanted.class_count, utterance_id)
        if self._writer is not None:
            self._check_same_tracks(utterance_id, tracks, self._writer.attributes.tracks)
        return tracks

    def _check_same_tracks(
        self, utterance_id: str, given: Mapping[str, NDArray[Any]], stored: Mapping[str, TrackSpec]
    ) -> None:
        for name in (FEATURES, LABELS):
            theirs = track_spec(given[name]) if name in given else None
            if stored.get(name) != theirs:
                raise InvalidInputError(
                    f"Utterance {utterance_id!r} has {_described(theirs)} {name}, the others of {self.url} "
                    f"have {_described(stored.get(name))}."
                )


def create_store(
    url: str | os.PathLike[str],
    *,
    class_count: int,
    codec: Codec | FittedToSample = Fidelity(),
    teacher: str,
    description: Mapping[str, Any] | None = None,
    features: Mapping[str, Any] | None = None,
    frame_shift: float = 0.01,
    shard_frames: int = layout.SHARD_FRAMES,
    chunk_frames: int = layout.CHUNK_FRAMES,
) -> Recorder:
    """Begin a store, or go on with the one that lies there if it has the same teacher, codec and features.

        with softstore.create("mine", class_count=2008, codec=TopK(), teacher="dnn-7 2f9c1e") as recorder:
            for utterance_id, logits in inference():
                if utterance_id not in recorder:
                    recorder.add(utterance_id, logits, speaker="anna", split="train", snr_db=12.5)

    Nothing is written before the first utterance is added.

    Args:
        url: a path, ``s3://`` or ``memory://`` URL.
        class_count: senones, the width of a row of posteriors.
        codec: how posteriors are stored, see `softstore.codecs`, or the `softstore.Fidelity` that a transform
            codec is to be fitted for: to the first `SAMPLE_FRAMES` frames, which wait in memory until then.
        teacher: a fingerprint, text that changes whenever the posteriors may, such as a hash of the weights.
        description: what to record about the teacher; JSON values.
        features: what a row of features is; JSON values.
        frame_shift: seconds from one frame to the next.
        shard_frames: room in one shard; no utterance may be longer.

    Raises:
        ConflictError: a store made otherwise lies there, or something else.
        InvalidInputError: an argument that cannot be used.
    """
    if not teacher or not (math.isfinite(frame_shift) and frame_shift > 0):
        raise InvalidInputError("A store needs its teacher's fingerprint, and a frame shift above 0 seconds.")
    try:
        json.dumps([description, features], allow_nan=False)
        wanted = Attributes(
            kind="soft_targets",
            frame_shift=frame_shift,
            shard_frames=shard_frames,
            chunk_frames=chunk_frames,
            class_count=class_count,
            tracks={},
            certificate_temperatures=list(CERTIFICATE_TEMPERATURES),
            teacher=layout.Teacher(fingerprint=teacher, description=dict(description or {})),
            features=dict(features or {}),
            created_by=CREATED_BY,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise InvalidInputError(
            f"No store can be made with these arguments: {where}{first['msg']}."
        ) from error
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"Descriptions of a teacher and of features are JSON values: {error}."
        ) from error
    if not isinstance(codec, FittedToSample):
        wanted = with_codec(wanted, codec)
    return Recorder(open_storage(url, writable=True), wanted, codec)


def _described(spec: TrackSpec | None) -> str:
    return "no" if spec is None else spec.dtype if spec.width is None else f"{spec.dtype} × {spec.width}"
