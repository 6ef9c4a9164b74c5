"""Write shards and publish them: arrays first, then the manifest part, which is the commit point.

Every object is on the disk before the next is begun, so a run that dies leaves whole shards and invisible
leftovers, never half a shard. A shard that is published already is never touched again.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softstore import format as layout
from softstore.codec_arrays import encode_codec_array
from softstore.errors import ConflictError, NotFoundError
from softstore.format import ROOT_METADATA, Attributes, Complete
from softstore.manifest import Manifest, ShardObject, shard_table, utterance_table
from softstore.metadata import metadata_objects
from softstore.occupancy import Occupancy
from softstore.parts import part_to_bytes, read_attributes
from softstore.sharding import crc32c, encode_shard, sha256
from softstore.storage import Storage


class Writer:
    """Writes one store or corpus that is there already; `create` makes a new one."""

    def __init__(self, storage: Storage, attributes: Attributes) -> None:
        self.storage = storage
        self.attributes = attributes

    def allocate(self, shards: int) -> None:
        """Make room for ``shards`` shards on the frame axis; it never shrinks."""
        if shards > self.attributes.shards:
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
            tracks: for every track of the store, the frames of these utterances one after another, each
                utterance padded to a multiple of ``block_frames``. Features and labels may come unpadded.
                Of a ragged track, its rows.

        Raises:
            InvalidInputError: there are no rows, a track is missing or has another number of them, or a
                manifest column mixes types.
        """
        part = layout.manifest_part(shard, shard)
        if self.storage.exists(part) or self._compacted(shard):
            return False
        occupied = Occupancy([int(row["num_frames"]) for row in rows], self.attributes.block_frames)
        arrays = {
            track: occupied.rows(track, spec, tracks.get(track), self.attributes.shard_frames)
            for track, spec in self.attributes.tracks.items()
        }
        utterances = utterance_table(self._place(shard, rows, occupied, arrays.get(layout.FEATURES)))
        objects: dict[str, ShardObject] = {}
        for track, spec in self.attributes.tracks.items():
            shard_rows = spec.shard_rows(self.attributes.shard_frames)
            data = encode_shard(arrays[track], shard_rows, self.attributes.chunk_frames, spec.chunk_width)
            path = layout.shard_object(track, spec, shard)
            self.storage.put(path, data)
            objects[path] = ShardObject(len(data), sha256(data))
        return self.storage.create(part, part_to_bytes(shard_table(utterances, objects, kl_histogram or {})))

    def finish(self, manifest: Manifest) -> None:
        """Record what is published, so that a later loss is noticed; nothing is written if it is known."""
        published = set(manifest.shards)
        whole = next(shard for shard in itertools.count() if shard not in published)
        complete = Complete(shards=whole, utterances=len(manifest), frames=manifest.frames)
        shards = max(published, default=-1) + 1
        if complete != self.attributes.complete or shards != self.attributes.shards:
            self._update(complete=complete, shards=shards)

    def _place(
        self,
        shard: int,
        rows: Sequence[Mapping[str, Any]],
        occupied: Occupancy,
        features: NDArray[np.generic] | None,
    ) -> list[dict[str, Any]]:
        placed = []
        for row, span in zip(rows, occupied.spans, strict=True):
            placed.append(
                {
                    **row,
                    "shard": shard,
                    "first_frame": shard * self.attributes.shard_frames + span.start,
                    "features_crc32c": None if features is None else crc32c(features[span].tobytes()),
                }
            )
        return placed

    def _compacted(self, shard: int) -> bool:
        compacted = read_attributes(self.storage).compacted
        return any(first <= shard <= last for first, last in compacted)

    def _update(self, **changes: Any) -> None:
        self.attributes = update_attributes(self.storage, changes)


def create(
    storage: Storage, attributes: Attributes, codec_arrays: Mapping[str, NDArray[np.generic]] | None = None
) -> Writer:
    """A new store or corpus without utterances.

    Args:
        codec_arrays: what the codec needs once, by name; their entries are added to the attributes.

    Raises:
        ConflictError: there is something at that URL already.
        InvalidInputError: a codec array that cannot be stored.
    """
    require_vacant(storage)
    encoded = {name: encode_codec_array(name, array) for name, array in (codec_arrays or {}).items()}
    entries = {name: entry for name, (entry, _) in encoded.items()}
    attributes = Attributes.model_validate(attributes.model_dump() | {"codec_arrays": entries})
    for name, (entry, data) in encoded.items():
        storage.put(layout.codec_object(name, entry), data)
    # Until there is a root there is no store, and the next run starts afresh. Of two that begin a store at
    # the same time one makes it; arrays are named after what they hold, so neither harms the other.
    if not storage.create(ROOT_METADATA, metadata_objects(attributes)[ROOT_METADATA]):
        raise ConflictError(f"Somebody else began {storage.url} meanwhile: run this again to join in.")
    _write_metadata(storage, attributes)
    return Writer(storage, attributes)


def update_attributes(storage: Storage, changes: Mapping[str, Any]) -> Attributes:
    """Change some of a store's attributes, and the array shapes that follow; returns all, as written.

    What is not changed is taken from what is stored, not from what the caller knows: the store may have been
    compacted, or made larger, meanwhile.
    """
    _write_metadata(storage, read_attributes(storage).model_copy(update=changes))
    attributes = read_attributes(storage).model_copy(update=changes)
    storage.put(ROOT_METADATA, metadata_objects(attributes)[ROOT_METADATA])
    return attributes


def _write_metadata(storage: Storage, attributes: Attributes) -> None:
    """Write every ``zarr.json`` but the root's that is not there or says something else."""
    for path, data in metadata_objects(attributes).items():
        if path != ROOT_METADATA and _read(storage, path) != data:
            storage.put(path, data)


def require_vacant(storage: Storage) -> None:
    """Check that nothing lies there but what an interrupted `create` left.

    Raises:
        ConflictError: something does.
    """
    paths = [path for path, _ in storage.walk()]
    if ROOT_METADATA in paths or not all(map(_left_by_create, paths)):
        raise ConflictError(f"{storage.url} is not empty: choose another place, or remove what lies there.")


def _left_by_create(path: str) -> bool:
    return PurePosixPath(path).name == ROOT_METADATA or path.startswith(f"{layout.CODEC}/")


def _read(storage: Storage, path: str) -> bytes | None:
    try:
        return storage.get(path)
    except NotFoundError:
        return None
