"""The on-disk contract, format version 1: names, attributes, and where every object lies.

    <url>/zarr.json                      attributes.softstore: the `Attributes` below
    <url>/<track>/zarr.json, c/<shard>…  one Zarr v3 array per track, sharded along the frame axis
    <url>/codec/<name>-<sha256>/…        what the codec needs once: one Zarr v3 array of one chunk each
    <url>/manifest/<shard>.parquet       the utterances of one shard; published last, it is the commit point
    <url>/staging/…                      shards on their way, see `softstore.commit`; readers never look there
    <url>/manifest/<a>-<b>.parquet       the same of shards a … b, both included, after `softstore compact`
    <url>/manifest/ids/<name>/<bucket>   which shard an id is in, once the store is large and compacted
    <url>/lang/senones.json              corpora only: phone, context, state → senone, and the lexicon

The frame axis is cut into shards of ``shard_frames``; utterances lie whole inside a shard, one after another,
each beginning at a multiple of ``block_frames``; rows between and behind them stay empty. What the codec
makes of the posteriors are the tracks below ``targets/``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from softstore.codecs.base import DType, TrackSpec

FORMAT_VERSION = 1
ROOT_METADATA = "zarr.json"
ATTRIBUTES_KEY = "softstore"
CHECKSUM_KEY = "softstore_crc32c"
FEATURES = "features"
LABELS = "labels"
TARGETS = "targets"
CODEC = "codec"
MANIFEST = "manifest"
IDS = f"{MANIFEST}/ids"
STAGING = "staging"
LANG = "lang"
SENONES = f"{LANG}/senones.json"
SENONES_CHECKSUM = "senones_crc32c"
"""What its crc32c is called in a corpus's ``corpus`` attributes."""

FIRST_OVERFLOW = "first_overflow"
NUM_OVERFLOW = "num_overflow"
"""Manifest columns of stores with ragged tracks: which rows of those an utterance has."""

SHARD_FRAMES = 32_768
CHUNK_FRAMES = 256

_Positive = Annotated[int, Field(gt=0)]
_ArrayName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
_TrackName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")]


def _is_empty(value: object) -> bool:
    return not value


class _Record(BaseModel):
    # What a later release adds is kept when this one appends; NaN is refused in writing, not made null.
    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="constants")


class Complete(_Record):
    """What the last finished run left: everything up to here must be found, or bytes were lost."""

    shards: int
    utterances: int
    frames: int


class Teacher(_Record):
    """Who made the posteriors: a fingerprint that changes with its weights, and what to tell people."""

    fingerprint: str
    description: dict[str, Any] = Field(default_factory=dict)


class CodecArray(_Record):
    """One array below ``codec/``; size and SHA-256 are of its chunk object."""

    dtype: DType
    shape: Annotated[list[_Positive], Field(min_length=1)]
    size: _Positive
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Divergence(_Record):
    """KL over all frames of a store at one temperature, in nats: `softstore.store_certificate.KlSummary`."""

    temperature: float
    mean: float
    p999: float
    max: float


class Generation(_Record):
    """A store that another was recoded from, as it was when that was last done; of the same teacher.

    Attributes:
        codec, codec_arrays: from its attributes.
        certificate: its own: of the first generation against the teacher, of each later one against what
            the generation before it decodes to.
    """

    codec: dict[str, Any]
    codec_arrays: dict[_ArrayName, CodecArray] = Field(default_factory=dict)
    certificate: list[Divergence]


class Skipped(_Record):
    """An utterance that a run left out because of an error, and that no later one has stored."""

    utterance_id: str
    reason: str


class RunRecord(_Record):
    """One run that wrote to a store: who, what, when, with what.

    Attributes:
        id: different for every run.
        started, finished: UTC, ISO 8601; ``finished`` is None of a run that is under way or was killed.
        command: the command line, or what else the caller says of itself.
        versions: of Python and of the packages that what is stored depends on.
        git: revision of the source tree in the working directory, with ``+`` if it was changed; None: none.
        teacher, features: fingerprints.
        device: that the teacher ran on.
        workers: processes that made shards; 0: the run's own.
        utterances, frames, shards, skipped, seconds: what the run did; 0 until it is finished.
    """

    id: str
    started: str
    finished: str | None = None
    user: str = ""
    host: str = ""
    command: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    git: str | None = None
    teacher: str = ""
    features: str = ""
    device: str = "cpu"
    workers: int = 0
    utterances: int = 0
    frames: int = 0
    shards: int = 0
    skipped: int = 0
    seconds: float = 0.0


class IdIndex(_Record):
    """An index of ids, `softstore.id_index`: who has it need not read the manifest to find an utterance.

    Attributes:
        name: hangs on what it says: no other index can overwrite it.
        buckets: how many objects it has, a power of two.
        shards: (first, last), both included, of each run of shards that it covers, in order.
        utterances: of those shards.
    """

    name: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
    buckets: _Positive
    shards: list[tuple[int, int]]
    utterances: int

    @model_validator(mode="after")
    def _halves_of_halves(self) -> Self:
        if self.buckets & (self.buckets - 1) or self.buckets > 2**32:
            raise ValueError(f"{self.buckets} buckets are no power of two up to 2³²")
        return self


class Attributes(_Record):
    """``attributes.softstore`` of the root group.

    Attributes:
        kind: ``soft_targets`` (a store) or ``corpus`` (features and labels only).
        frame_shift: seconds from one frame to the next.
        block_frames: utterances begin at multiples of this, and occupy whole multiples.
        shards: how many shards the frame axis has room for; a shard exists once its manifest part does.
        compacted: (first, last) shard, both included, of each manifest part of several shards, in order.
        complete: set when a run has finished; None while the first one is under way.
        class_count: senones, the width of a row of posteriors.
        codec: name and parameters of the codec; soft-target stores only.
        codec_arrays: the arrays below ``codec/`` by name.
        certificate_temperatures: where each utterance's KL was measured; soft-target stores only.
        recoded_from: empty if posteriors came from the teacher, who the certificate is against then. Else
            the stores they went through, the one made from the teacher first; the certificate is against
            what the last of them decodes to at T = 1, softened to each temperature.
        features: what a row of the features track is (kind, dimensions, …).
        corpus: where the utterances come from.
        created_by: software and version.
        runs: what wrote to it, in the order of their beginning.
        skipped: what runs left out and nobody has stored since.
        id_index: of all shards but the latest, after `softstore compact` of a large store.
        class_names: what to call each class when people look; empty if nobody named them.
    """

    format: Literal[1] = 1
    kind: Literal["soft_targets", "corpus"]
    frame_shift: float = 0.01
    shard_frames: _Positive = SHARD_FRAMES
    chunk_frames: _Positive = CHUNK_FRAMES
    block_frames: _Positive = 1
    shards: Annotated[int, Field(ge=0)] = 0
    compacted: list[tuple[int, int]] = Field(default_factory=list)
    complete: Complete | None = None
    class_count: Annotated[int, Field(gt=1)]
    tracks: dict[_TrackName, TrackSpec]
    codec: dict[str, Any] | None = None
    codec_arrays: dict[_ArrayName, CodecArray] = Field(default_factory=dict)
    certificate_temperatures: list[float] = Field(default_factory=list)
    recoded_from: list[Generation] = Field(default_factory=list)
    teacher: Teacher | None = None
    features: dict[str, Any] = Field(default_factory=dict)
    corpus: dict[str, Any] = Field(default_factory=dict)
    created_by: str = ""
    # What came after the first stores is not written where it is empty: their bytes stay as they were.
    runs: list[RunRecord] = Field(default_factory=list, exclude_if=_is_empty)
    skipped: list[Skipped] = Field(default_factory=list, exclude_if=_is_empty)
    id_index: IdIndex | None = Field(default=None, exclude_if=_is_empty)
    class_names: list[str] = Field(default_factory=list, exclude_if=_is_empty)

    def is_finished(self, published: int) -> bool:
        """Whether whoever fills the store is done, where so many shards are published.

        A run that has finished leaves out a shard if none of its utterances could be stored.
        """
        return self.complete is not None and (
            published == self.shards or bool(self.runs and self.runs[-1].finished)
        )

    @model_validator(mode="after")
    def _blocks_fill_chunks_fill_shards(self) -> Self:
        if self.shard_frames % self.chunk_frames:
            raise ValueError(
                f"shards of {self.shard_frames} frames cannot be cut into chunks of {self.chunk_frames}"
            )
        if self.chunk_frames % self.block_frames:
            raise ValueError(
                f"chunks of {self.chunk_frames} frames cannot be cut into blocks of {self.block_frames}"
            )
        return self

    @model_validator(mode="after")
    def _ragged_alike(self) -> Self:
        # One pair of manifest columns says which rows of all of them an utterance has.
        if len({spec.ragged for spec in self.tracks.values() if spec.ragged}) > 1:
            raise ValueError("ragged tracks have room for different numbers of rows")
        return self

    @model_validator(mode="after")
    def _spans_in_order(self) -> Self:
        indexed = self.id_index.shards if self.id_index else []
        for what, spans in (("compacted", self.compacted), ("indexed", indexed)):
            ends = [end for first, last in spans for end in (first, last + 1)]
            if ends != sorted(ends) or any(not 0 <= end <= self.shards for end in ends):
                raise ValueError(f"{what} shards {spans} are not in order or not in the store")
        return self


def shard_object(track: str, spec: TrackSpec, shard: int) -> str:
    """The path of one shard of one track."""
    return f"{track}/c/{shard}" if spec.width is None else f"{track}/c/{shard}/0"


def manifest_part(first: int, last: int) -> str:
    """The path of the manifest part of these shards, both included; most parts are of one shard."""
    shards = f"{first:06d}" if first == last else f"{first:06d}-{last:06d}"
    return f"{MANIFEST}/{shards}.parquet"


def id_bucket(index: IdIndex, bucket: int) -> str:
    """The path of one bucket of an index of ids."""
    return f"{IDS}/{index.name}/{bucket}"


def codec_array(name: str, array: CodecArray) -> str:
    """The path of a codec array, which hangs on what it holds: no other store's can overwrite it."""
    return f"{CODEC}/{name}-{array.sha256[:8]}"


def codec_object(name: str, array: CodecArray) -> str:
    """The path of a codec array's one chunk."""
    return "/".join([codec_array(name, array), "c", *("0" for _ in array.shape)])
