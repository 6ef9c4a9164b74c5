"""Write shards and publish them: arrays first, then the manifest part, which is the commit point.

Every object is on the disk before the next is begun, so a run that dies leaves whole shards and invisible
leftovers, never half a shard. A shard that is published already is never touched again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from softstore import format as layout
from softstore.codecs import TrackSpec
from softstore.errors import ConflictError, InvalidInputError
from softstore.format import ROOT_METADATA, Attributes, Complete
from softstore.frames import read_attributes
from softstore.manifest import Manifest, ManifestPart, ShardObject, manifest_table
from softstore.sharding import ZSTD_LEVEL, crc32c, encode_shard
from softstore.storage import Storage


class Writer:
    """Writes one store or corpus that is there already; `create` makes a new one."""

    def __init__(self, storage: Storage, attributes: Attributes) -> None:
        self.storage = storage
        self.attributes = attributes

    def allocate(self, shards: int) -> None:
        """Make room for ``shards`` shards on the frame axis; it never shrinks."""
        if shards <= self.attributes.shards:
            return
        for track in self.attributes.tracks:
            metadata = json.loads(self.storage.get(f"{track}/{ROOT_METADATA}"))
            metadata["shape"][0] = max(metadata["shape"][0], shards * self.attributes.shard_frames)
            self.put_json(f"{track}/{ROOT_METADATA}", metadata)
        # Somebody else may have made more room meanwhile.
        self._update(shards=max(shards, read_attributes(self.storage).shards))

    def write_shard(
        self,
        shard: int,
        rows: Sequence[Mapping[str, Any]],
        tracks: Mapping[str, NDArray[np.generic]],
        kl_histogram: dict[str, list[int]] | None = None,
    ) -> bool:
        """Write and publish one shard; False if it had been published already.

        Args:
            rows: the manifest columns of each utterance, in the order of their frames, without the placement
                (shard, first_frame, features_crc32c), which is added here.
            tracks: for every track of the store, the frames of these utterances one after another.
        """
        part = layout.manifest_part(shard)
        if self.storage.exists(part):
            return False
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
        published = ManifestPart(manifest_table(placed), objects, kl_histogram or {})
        return self.storage.create(part, published.to_bytes())

    def finish(self, manifest: Manifest) -> None:
        """Record what is published, so that a later loss is noticed; nothing is written if it is known."""
        complete = Complete(shards=len(manifest.shards), utterances=len(manifest), frames=manifest.frames)
        if complete != self.attributes.complete or complete.shards != self.attributes.shards:
            self._update(complete=complete, shards=complete.shards)

    def put_json(self, path: str, value: Any) -> None:
        """An object of JSON."""
        self.storage.put(path, json.dumps(value, ensure_ascii=False).encode())

    def _place(
        self, shard: int, rows: Sequence[Mapping[str, Any]], tracks: Mapping[str, NDArray[np.generic]]
    ) -> list[dict[str, Any]]:
        features = tracks.get(layout.FEATURES)
        placed = []
        offset = 0
        for row in rows:
            frames = int(row["num_frames"])
            span = features[offset : offset + frames].tobytes() if features is not None else None
            placed.append(
                {
                    **row,
                    "shard": shard,
                    "first_frame": shard * self.attributes.shard_frames + offset,
                    "features_crc32c": crc32c(span) if span is not None else None,
                }
            )
            offset += frames
        lengths = {track: len(array) for track, array in tracks.items()}
        if set(lengths.values()) != {offset} or offset > self.attributes.shard_frames:
            raise InvalidInputError(f"Shard {shard} was to hold {offset} frames, its tracks have {lengths}.")
        return placed

    def _update(self, **changes: Any) -> None:
        root = json.loads(self.storage.get(ROOT_METADATA))
        self.attributes = self.attributes.model_copy(update=changes)
        root["attributes"][layout.ATTRIBUTES_KEY] = self.attributes.model_dump(mode="json")
        self.put_json(ROOT_METADATA, root)


def create(storage: Storage, attributes: Attributes) -> Writer:
    """A new store or corpus without utterances.

    Raises:
        ConflictError: there is something at that URL already.
    """
    require_vacant(storage)
    metadata = _metadata(attributes)
    # The root comes last: until then there is no store, and the next run starts afresh.
    for path in sorted(metadata, key=lambda path: path == ROOT_METADATA):
        storage.put(path, metadata[path])
    return Writer(storage, attributes)


def require_vacant(storage: Storage) -> None:
    """Check that nothing lies there but the metadata that an interrupted `create` left.

    Raises:
        ConflictError: something does.
    """
    paths = [path for path, _ in storage.walk()]
    if ROOT_METADATA in paths or any(PurePosixPath(path).name != ROOT_METADATA for path in paths):
        raise ConflictError(f"{storage.url} is not empty: choose another place, or remove what lies there.")


def _metadata(attributes: Attributes) -> dict[str, bytes]:
    """Every ``zarr.json`` of a store without shards, as zarr-python writes it."""
    store = MemoryStore()
    group = zarr.create_group(store, attributes={layout.ATTRIBUTES_KEY: attributes.model_dump(mode="json")})
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
    return {path: data.to_bytes() for path, data in store._store_dict.items()}


def _shape(spec: TrackSpec, frames: int) -> tuple[int, ...]:
    return (frames,) if spec.width is None else (frames, spec.width)
