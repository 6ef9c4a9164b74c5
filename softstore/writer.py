"""Write shards and publish them: arrays, a flush, then the manifest part, which is the commit point.

A run that dies leaves whole shards and invisible leftovers, never half a shard. One writer per shard; a shard
that somebody else published meanwhile is discarded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
from zarr.storage import ObjectStore

from softstore import format as layout
from softstore.codecs import TrackSpec
from softstore.errors import ConflictError, InvalidInputError, NotFoundError
from softstore.format import Attributes, Complete
from softstore.manifest import Manifest, ManifestPart, ShardObject, manifest_table
from softstore.sharding import ZSTD_LEVEL, crc32c, encode_shard
from softstore.storage import Storage


class Writer:
    """Writes one store or corpus; made by `create` or `append`."""

    def __init__(self, storage: Storage, attributes: Attributes) -> None:
        self.storage = storage
        self.attributes = attributes

    def allocate(self, shards: int) -> None:
        """Make room for ``shards`` shards on the frame axis (it never shrinks)."""
        if shards <= self.attributes.shards:
            return
        group = zarr.open_group(ObjectStore(self.storage.backend), mode="r+")
        for track, spec in self.attributes.tracks.items():
            array = group[track]
            assert isinstance(array, zarr.Array)
            array.resize(_shape(spec, shards * self.attributes.shard_frames))
        self._update(shards=shards)

    def write_shard(
        self,
        shard: int,
        rows: Sequence[Mapping[str, Any]],
        tracks: Mapping[str, NDArray[np.generic]],
        kl_histogram: dict[str, list[int]] | None = None,
    ) -> bool:
        """Write and publish one shard; False if somebody had published it already.

        Args:
            rows: the manifest columns of each utterance, in the order of their frames, without the placement
                (shard, first_frame, features_crc32c), which is added here.
            tracks: for every track of the store, the frames of these utterances one after another.
        """
        placed = self._place(shard, rows, tracks)
        objects: dict[str, ShardObject] = {}
        for track, spec in self.attributes.tracks.items():
            data = encode_shard(
                np.asarray(tracks[track], spec.dtype),
                self.attributes.shard_frames,
                self.attributes.chunk_frames,
            )
            path = layout.shard_object(track, spec, shard)
            self.storage.put(path, data)
            objects[path] = ShardObject(len(data), crc32c(data))
        self.storage.flush(list(objects))
        part = layout.manifest_part(shard)
        published = self.storage.create(
            part, ManifestPart(manifest_table(placed), objects, kl_histogram or {}).to_bytes()
        )
        if published:
            self.storage.flush([part])
        return published

    def finish(self, manifest: Manifest) -> None:
        """Record that everything allocated is published, so that a later loss is noticed."""
        complete = Complete(shards=self.attributes.shards, utterances=len(manifest), frames=manifest.frames)
        self._update(complete=complete)

    def put_json(self, path: str, value: Any) -> None:
        """An object of JSON beside the tracks."""
        self.storage.put(path, json.dumps(value, ensure_ascii=False).encode())

    def _place(
        self, shard: int, rows: Sequence[Mapping[str, Any]], tracks: Mapping[str, NDArray[np.generic]]
    ) -> list[dict[str, Any]]:
        features = tracks.get(layout.FEATURES)
        placed = []
        offset = 0
        for row in rows:
            frames = int(row["num_frames"])
            span = np.ascontiguousarray(features[offset : offset + frames]) if features is not None else None
            placed.append(
                {
                    **row,
                    "shard": shard,
                    "first_frame": shard * self.attributes.shard_frames + offset,
                    "features_crc32c": crc32c(span.tobytes()) if span is not None else None,
                }
            )
            offset += frames
        lengths = {track: len(array) for track, array in tracks.items()}
        if set(lengths.values()) != {offset} or offset > self.attributes.shard_frames:
            raise InvalidInputError(f"Shard {shard} was to hold {offset} frames, its tracks have {lengths}.")
        return placed

    def _update(self, **changes: Any) -> None:
        self.attributes = self.attributes.model_copy(update=changes)
        group = zarr.open_group(ObjectStore(self.storage.backend), mode="r+")
        group.update_attributes({layout.ATTRIBUTES_KEY: self.attributes.model_dump(mode="json")})
        self.storage.flush([layout.ROOT_METADATA])


def create(storage: Storage, attributes: Attributes) -> Writer:
    """A new store or corpus without utterances.

    Raises:
        ConflictError: there is something at that URL already.
    """
    require_vacant(storage)
    # The root's attributes come last: until then there is no store, and the next run starts afresh.
    group = zarr.create_group(ObjectStore(storage.backend), overwrite=True)
    for track, spec in attributes.tracks.items():
        group.create_array(
            track,
            shape=_shape(spec, 0),
            chunks=_shape(spec, attributes.chunk_frames),
            shards=_shape(spec, attributes.shard_frames),
            dtype=spec.dtype,
            fill_value=0,
            serializer=BytesCodec(endian="little"),
            compressors=[ZstdCodec(level=ZSTD_LEVEL), Crc32cCodec()],
            dimension_names=["frame"] if spec.width is None else ["frame", None],
        )
    # Objects that are no arrays get a group around them, so that Zarr readers take them for what they are.
    for name in (layout.MANIFEST, layout.LANG) if attributes.kind == "corpus" else (layout.MANIFEST,):
        group.create_group(name)
    writer = Writer(storage, attributes)
    writer._update()
    return writer


def require_vacant(storage: Storage) -> None:
    """Check that nothing lies there but the metadata that an interrupted `create` left.

    Raises:
        ConflictError: something does.
    """
    vacant = all(PurePosixPath(path).name == layout.ROOT_METADATA for path, _ in storage.walk())
    if vacant:
        with suppress(NotFoundError):
            vacant = not json.loads(storage.get(layout.ROOT_METADATA)).get("attributes")
    if not vacant:
        raise ConflictError(f"{storage.url} is not empty: choose another place, or remove what lies there.")


def _shape(spec: TrackSpec, frames: int) -> tuple[int, ...]:
    return (frames,) if spec.width is None else (frames, spec.width)
