"""Write shards and publish them, whole; and change a store's attributes without losing anybody's change.

Every object is on the disk before the next is begun, so a run that dies leaves whole shards and invisible
leftovers, never half a shard. A shard that is published already is never touched again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softstore import format as layout
from softstore.codec_arrays import encode_codec_array
from softstore.commit import publish_shard, roll_forward_all
from softstore.errors import ConflictError, NotFoundError
from softstore.format import ROOT_METADATA, Attributes, Complete
from softstore.manifest import ShardObject, shard_table, utterance_table
from softstore.metadata import metadata_objects, parse_root
from softstore.occupancy import Occupancy
from softstore.parts import holds, iter_parts, part_to_bytes, read_attributes
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
            self.amend(lambda found: {"shards": max(shards, found.shards)})

    def write_shard(
        self,
        shard: int,
        rows: Sequence[Mapping[str, Any]],
        tracks: Mapping[str, NDArray[np.generic]],
        kl_histogram: dict[str, list[int]] | None = None,
    ) -> int:
        """Write and publish one shard; returns its bytes, 0 if it was published by somebody else.

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
        if self.is_published(shard):
            return 0
        occupied = Occupancy([int(row["num_frames"]) for row in rows], self.attributes.block_frames)
        arrays = {
            track: occupied.rows(track, spec, tracks.get(track), self.attributes.shard_frames)
            for track, spec in self.attributes.tracks.items()
        }
        utterances = utterance_table(self._place(shard, rows, occupied, arrays.get(layout.FEATURES)))
        objects: dict[str, bytes] = {}
        for track, spec in self.attributes.tracks.items():
            shard_rows = spec.shard_rows(self.attributes.shard_frames)
            objects[layout.shard_object(track, spec, shard)] = encode_shard(
                arrays[track], shard_rows, self.attributes.chunk_frames, spec.chunk_width
            )
        entries = {path: ShardObject(len(data), sha256(data)) for path, data in objects.items()}
        part = part_to_bytes(shard_table(utterances, entries, kl_histogram or {}))
        if not publish_shard(self.storage, shard, objects, part, lambda: self.is_published(shard)):
            return 0
        return sum(entry.size for entry in entries.values()) + len(part)

    def is_published(self, shard: int) -> bool:
        """Whether a shard has been published, by whomever."""
        if self.storage.exists(layout.manifest_part(shard, shard)):
            return True
        return holds(read_attributes(self.storage).compacted, (shard, shard))

    def roll_forward(self) -> None:
        """Finish what killed jobs had decided to publish, and sweep what is staged of published shards."""
        roll_forward_all(self.storage, self.is_published)

    def finish(
        self,
        complete: Complete | None = None,
        also: Callable[[Attributes], Mapping[str, Any]] = lambda found: {},
    ) -> None:
        """Record what is published, so that a later loss is noticed, and sweep what killed jobs left of it.

        Nothing is written if all is known and swept.

        Args:
            complete: what is; None: it is counted now.
            also: other attributes to change at the same time.
        """
        self.roll_forward()
        counted = complete or _published(self.storage, read_attributes(self.storage))
        self.amend(lambda found: {"complete": counted, **also(found)})

    def amend(self, change: Callable[[Attributes], Mapping[str, Any]]) -> None:
        """As `amend`, of this store."""
        self.attributes = amend(self.storage, change)

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


def amend(storage: Storage, change: Callable[[Attributes], Mapping[str, Any]]) -> Attributes:
    """Change some of a store's attributes, and the array shapes that follow; returns all, as stored.

    Others may change theirs at the same time: the root is replaced only as it was read, else ``change`` is
    asked again.

    Args:
        change: what to change of the attributes as they are; asked of what it has changed, it must say the
            same again.
    """
    while True:
        before = storage.get(ROOT_METADATA)
        found = parse_root(before, storage.url)
        attributes = found.model_copy(update=change(found))
        _write_metadata(storage, attributes)
        data = metadata_objects(attributes)[ROOT_METADATA]
        if data == before or storage.exchange(ROOT_METADATA, before, data):
            return attributes


def update_attributes(storage: Storage, changes: Mapping[str, Any]) -> Attributes:
    """As `amend`, where the changes do not depend on what is there."""
    return amend(storage, lambda found: changes)


def _published(storage: Storage, attributes: Attributes) -> Complete:
    """What is published: up to which shard without a gap, and how much in all."""
    whole = utterances = frames = 0
    for part in iter_parts(storage, attributes, ["shard", "num_frames"]):
        for shard in np.unique(part["shard"].to_numpy()).tolist():
            whole += shard == whole
        utterances += len(part)
        frames += int(np.sum(part["num_frames"].to_numpy(), dtype=np.int64))
    return Complete(shards=whole, utterances=utterances, frames=frames)


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
