"""The on-disk contract, format version 1: names, attributes, and where every object lies.

    <url>/zarr.json                      attributes.softstore: the `Attributes` below
    <url>/<track>/zarr.json, c/<shard>…  one Zarr v3 array per track, sharded along the frame axis
    <url>/manifest/<shard>.parquet       the utterances of one shard; published last, it is the commit point
    <url>/lang/senones.json              corpora only: phone, context, state → senone, and the lexicon

The frame axis is cut into shards of ``shard_frames``; utterances lie whole inside a shard, one after another,
and rows left over at its end stay empty. A store's codec arrays are the tracks below ``targets/``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from softstore.codecs import TrackSpec
from softstore.errors import FormatError, NotAStoreError

FORMAT_VERSION = 1
ROOT_METADATA = "zarr.json"
ATTRIBUTES_KEY = "softstore"
FEATURES = "features"
LABELS = "labels"
TARGETS = "targets"
MANIFEST = "manifest"
LANG = "lang"
SENONES = f"{LANG}/senones.json"

SHARD_FRAMES = 32_768
CHUNK_FRAMES = 256


class _Record(BaseModel):
    # What a later release adds is kept when this one appends.
    model_config = ConfigDict(frozen=True, extra="allow")


class Complete(_Record):
    """What the last finished run left: everything up to here must be found, or bytes were lost."""

    shards: int
    utterances: int
    frames: int


class Teacher(_Record):
    """Who made the posteriors: a fingerprint that changes with its weights, and what to tell people."""

    fingerprint: str
    description: dict[str, Any] = Field(default_factory=dict)


class Attributes(_Record):
    """``attributes.softstore`` of the root group.

    Attributes:
        kind: ``soft_targets`` (a store) or ``corpus`` (features and labels only).
        frame_shift: seconds from one frame to the next.
        shards: how many shards the frame axis has room for; a shard exists once its manifest part does.
        complete: set when a run has finished; None while the first one is under way.
        class_count: senones, the width of a row of posteriors.
        codec: name and parameters of the codec; soft-target stores only.
        certificate_temperatures: where each utterance's KL was measured; soft-target stores only.
        features: what a row of the features track is (kind, dimensions, …).
        corpus: where the utterances come from.
        created_by: software and version.
    """

    format: Literal[1] = 1
    kind: Literal["soft_targets", "corpus"]
    frame_shift: float = 0.01
    shard_frames: Annotated[int, Field(gt=0)] = SHARD_FRAMES
    chunk_frames: Annotated[int, Field(gt=0)] = CHUNK_FRAMES
    shards: Annotated[int, Field(ge=0)] = 0
    complete: Complete | None = None
    class_count: Annotated[int, Field(gt=1)]
    tracks: dict[str, TrackSpec]
    codec: dict[str, Any] | None = None
    certificate_temperatures: list[float] = Field(default_factory=list)
    teacher: Teacher | None = None
    features: dict[str, Any] = Field(default_factory=dict)
    corpus: dict[str, Any] = Field(default_factory=dict)
    created_by: str = ""

    @model_validator(mode="after")
    def _chunks_fill_shards(self) -> Self:
        if self.shard_frames % self.chunk_frames:
            raise ValueError(
                f"shards of {self.shard_frames} frames cannot be cut into chunks of {self.chunk_frames}"
            )
        return self

    @classmethod
    def parse(cls, root: dict[str, Any], url: str) -> Attributes:
        """From a root ``zarr.json``.

        Raises:
            NotAStoreError: it is a Zarr group, but not one of ours.
            FormatError: it is of a version this release does not know, or its attributes make no sense.
        """
        attributes = root.get("attributes") if root.get("zarr_format") == 3 else None
        found = attributes.get(ATTRIBUTES_KEY) if isinstance(attributes, dict) else None
        if not isinstance(found, dict):
            raise NotAStoreError(
                f"{url} is not a softstore store or corpus: its zarr.json has no softstore attributes."
            )
        if found.get("format") != FORMAT_VERSION:
            raise FormatError(
                f"{url} has format version {found.get('format')!r}, this release reads {FORMAT_VERSION}: "
                "install a newer softstore."
            )
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in first["loc"])
            raise FormatError(f"The attributes of {url} are damaged: {where}{first['msg']}.") from error


def shard_object(track: str, spec: TrackSpec, shard: int) -> str:
    """The path of one shard of one track."""
    return f"{track}/c/{shard}" if spec.width is None else f"{track}/c/{shard}/0"


def manifest_part(shard: int) -> str:
    """The path of one shard's manifest part."""
    return f"{MANIFEST}/{shard:06d}.parquet"
