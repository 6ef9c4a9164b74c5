"""A few utterances stored for trial, in memory: how large, how fast, how faithful."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from softstore.codecs import Codec
from softstore.format import Attributes
from softstore.frames import Frames
from softstore.inference import Inference
from softstore.inventory import inventory
from softstore.manifest import ShardObject
from softstore.memory_objects import MemoryObjects
from softstore.metadata import metadata_objects
from softstore.parts import part_to_bytes, read_part
from softstore.planner import pack
from softstore.processors import usable_processors
from softstore.publishing import with_codec
from softstore.shard_maker import OnError, ShardMaker
from softstore.sharding import index_bytes
from softstore.storage import Storage
from softstore.store import Store
from softstore.tasks import ShardTask
from softstore.writer import create


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it.

    Attributes:
        store: the utterances, as any store would have them.
        frames_per_second: read, through the teacher, encoded, certified and made into shards.
    """

    store: Store
    frames_per_second: float

    @property
    def frames(self) -> int:
        return self.store.manifest.frames

    def track_bytes(self, frames: int, shards: int) -> dict[str, int]:
        """What so many frames in so many shards will take, by track."""
        attributes = self.store.attributes
        found = {}
        for track, size in inventory(self.store.frames).track_bytes.items():
            spec = attributes.tracks[track]
            columns = spec.width // spec.chunk_width if spec.width and spec.chunk_width else 1
            index = index_bytes(spec.shard_rows(attributes.shard_frames), attributes.chunk_frames, columns)
            chunks = size - index * attributes.shards
            found[track] = round(chunks * frames / self.frames) + index * shards
        return found

    def manifest_bytes(self, utterances: int, shards: int) -> int:
        """What the manifest of so many utterances in so many shards will take, and all ``zarr.json``."""
        part = read_part(self.store.frames.storage, (0, 0))
        assert part is not None
        whole, one = len(part_to_bytes(part)), len(part_to_bytes(part.slice(0, 1)))
        row = (whole - one) / max(len(part) - 1, 1)
        metadata = sum(map(len, metadata_objects(self.store.attributes).values()))
        return round(shards * (one - row) + utterances * row) + metadata


def try_out(
    source: Inference,
    codec: Codec,
    wanted: Attributes,
    rows: pa.Table,
    objects: Mapping[str, ShardObject],
) -> Trial:
    """Store these utterances in memory, as generation would.

    Args:
        wanted: the attributes of the store to be, without the codec's.
        rows, objects: of the utterances, as for `softstore.collection.Collection.scan_rows`.

    Raises:
        InvalidInputError: an utterance does not fit a shard, or the teacher's output is not usable.
        CorruptDataError: the corpus is damaged.
    """
    storage = Storage("memory://trial", MemoryObjects())
    writer = create(storage, with_codec(wanted, codec), codec.arrays())
    tasks = list(_tasks(writer.attributes, rows, dict(objects)))
    writer.allocate(len(tasks))
    # What is done only once (memory, kernels, threads) is not to be taken for the speed.
    first = source.collection.scan_rows(tasks[0].rows.slice(0, 1), tasks[0].objects)
    source.log_posteriors(next(first))
    maker = ShardMaker(source, writer, codec, OnError.STOP, usable_processors())
    started = time.monotonic()
    frames = sum(receipt.frames for receipt in maker.make(tasks))
    seconds = time.monotonic() - started
    writer.finish()
    return Trial(Store(Frames(storage)), frames / seconds)


def _tasks(attributes: Attributes, rows: pa.Table, objects: dict[str, ShardObject]) -> Iterator[ShardTask]:
    def name(place: int) -> str:
        return str(rows["utterance_id"][place])

    lengths = rows["num_frames"].to_numpy()
    bounds = pack([lengths], attributes.shard_frames, attributes.block_frames, name)
    for shard, (first, last) in enumerate(pairwise(bounds.tolist())):
        yield ShardTask(shard, rows.slice(first, last - first), objects)
