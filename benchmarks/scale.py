"""Ten million utterances: opening a store, finding one, summing up, planning; and what more would take.

The manifests are synthetic (`benchmarks.manifests`), but lie on the disk as compaction leaves them. Smaller
stores are the first parts of the largest, so what grows with the utterances shows. Every figure is of a fresh
process, with files in the page cache; memory is the most that process held, everything it imports included.

Peers find the same ids in what they would have instead: SQLite with an index on the id, and Parquet parts
scanned by pyarrow. Both are given what our index has, id and shard, and not the row.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import typer

from benchmarks.counted import Counted
from benchmarks.harness import JsonOption, QuickOption, Row, Target, report
from benchmarks.manifests import (
    FRAMES,
    READABLE,
    UTTERANCES,
    Scaled,
    attributes_of,
    link,
    spans,
    utterance_id,
    write_part,
    write_root,
)
from benchmarks.processes import fresh, timed
from softstore.compact import PART_SHARDS, compact
from softstore.frames import Frames
from softstore.indexing import write_index
from softstore.inventory import inventory
from softstore.parts import iter_parts, read_attributes
from softstore.storage import Storage, open_storage
from softstore.store import Store
from softstore.survey import survey, utterance_id_at
from softstore.tasks import plan_tasks

FULL = (100_000, 1_000_000, 10_000_000)
QUICK = (2_000, 25_000)
HOURS = (1_000, 100_000, 10_000_000)
LOOKUPS = 500
FIRSTS = 5
FRAME_SHIFT = 0.01

GROWS = (
    "manifest MB",
    "index MB",
    "compact s",
    "index s",
    "open s",
    "info s",
    "plan s",
    "plan memory MB",
    "plan, 90 % there, s",
    "plan, 90 % there, memory MB",
)
"""What is extrapolated."""

WorkOption = Annotated[
    Path | None, typer.Option("--work", help="Where the manifests go, some 2 GB; a temporary directory.")
]


def whole_parts(utterances: int) -> int:
    """Not many more, so that all shards are full and all parts are."""
    return -(-utterances // (UTTERANCES * PART_SHARDS)) * UTTERANCES * PART_SHARDS


def make(path: Path, utterances: int) -> Scaled:
    """The largest store, made by all processors."""
    store = Scaled(path, utterances)
    begins, ends = zip(*spans(store.shards), strict=True)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        list(
            pool.map(write_part, [path] * len(begins), begins, ends, [utterances] * len(begins), chunksize=32)
        )
    write_root(path, attributes_of(store.shards, utterances))
    return store


def nothing() -> dict[str, float]:
    return {}


def look_up(path: Path, utterances: int) -> dict[str, float]:
    """Open, count, find utterances that are there and that are not, and read labels."""
    counted = Counted(open_storage(path))
    started = time.perf_counter()
    store = Store(Frames(counted.storage))
    opened = time.perf_counter() - started
    requests = counted.requests
    random = np.random.default_rng(utterances)
    numbers = random.integers(0, utterances, LOOKUPS + 1).tolist()
    later = timed(lambda number: store[utterance_id(number)], numbers)[1:]
    asked = (counted.requests - requests) / len(numbers)
    missing = timed(lambda number: f"nobody-{number}" in store, numbers)
    readable = random.integers(0, -(-utterances // UTTERANCES // READABLE), 100) * READABLE * UTTERANCES
    frames = timed(lambda number: store[utterance_id(number)].labels(), readable.tolist())
    (counting,) = timed(lambda _: len(store), [0])
    if len(store) != utterances:
        raise ValueError(f"{path} has {len(store)} utterances, not {utterances}")
    return {
        "open s": opened,
        "open requests": requests,
        "median ms": 1e3 * statistics.median(later),
        "p99 ms": 1e3 * float(np.quantile(later, 0.99)),
        "requests": asked,
        "missing ms": 1e3 * statistics.median(missing),
        "labels ms": 1e3 * statistics.median(frames),
        "len ms": 1e3 * counting,
    }


def first(path: Path, number: int) -> dict[str, float]:
    """The first look-up of a process, which loads what it needs."""
    store = Store(Frames(open_storage(path)))
    (seconds,) = timed(lambda number: store[utterance_id(number)], [number])
    return {"ms": 1e3 * seconds}


def index(path: Path) -> dict[str, float]:
    """Write the index of ids; in part of it, the process waits for the disk."""
    storage = open_storage(path)
    (seconds,) = timed(lambda _: write_index(storage, read_attributes(storage)), [0])
    found = sum(size for _, size in storage.walk("manifest/ids"))
    return {"s": seconds, "bytes": float(found)}


def sum_up(path: Path) -> dict[str, float]:
    """What `softstore info` says."""
    store = Store(Frames(open_storage(path)))
    (seconds,) = timed(lambda _: (inventory(store.frames), store.certificate()), [0])
    return {"s": seconds}


def plan(source: Path, filled: Path) -> dict[str, float]:
    """Which utterances of a collection a store lacks, and into which shards they go."""
    collection, target = open_storage(source), open_storage(filled)
    attributes = read_attributes(collection)

    def planned(_: int) -> None:
        surveyed = survey(collection, attributes)
        published = survey(target, read_attributes(target))
        found = plan_tasks(
            surveyed,
            published,
            attributes.shard_frames,
            attributes.block_frames,
            lambda row: utterance_id_at(collection, attributes, row),
        )
        if found.utterances != len(surveyed) - len(published):
            raise ValueError(f"planned {found.utterances} utterances")

    (seconds,) = timed(planned, [0])
    return {"s": seconds}


def merge(path: Path, shards: int) -> dict[str, float]:
    """Compact parts as they were published, of one shard each."""
    storage = open_storage(path)
    (seconds,) = timed(lambda _: compact(storage), [0])
    return {"ms a shard": 1e3 * seconds / shards}


def sqlite(path: Path, database: Path, utterances: int) -> dict[str, float]:
    """An index of ids in SQLite."""
    storage = open_storage(path)
    started = time.perf_counter()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, shard INTEGER) WITHOUT ROWID")
        connection.executemany("INSERT INTO ids VALUES (?, ?)", ids_and_shards(storage))
        connection.commit()
    built = time.perf_counter() - started
    numbers = np.random.default_rng(utterances).integers(0, utterances, LOOKUPS).tolist()
    with closing(sqlite3.connect(database)) as connection:
        question = "SELECT shard FROM ids WHERE id = ?"
        found = timed(lambda n: connection.execute(question, (utterance_id(n),)).fetchone(), numbers)
    return {"s": built, "bytes": database.stat().st_size, "median ms": 1e3 * statistics.median(found)}


def ids_and_shards(storage: Storage) -> Iterator[tuple[str, int]]:
    for part in iter_parts(storage, read_attributes(storage), ("utterance_id", "shard")):
        yield from zip(part["utterance_id"].to_pylist(), part["shard"].to_pylist(), strict=True)


def scan(path: Path, utterances: int) -> dict[str, float]:
    """Parquet parts scanned for one id."""
    parts = ds.dataset(sorted((path / "manifest").glob("*.parquet")), format="parquet")

    def find(number: int) -> None:
        chosen = parts.to_table(["shard"], filter=pc.field("utterance_id") == utterance_id(number))
        if len(chosen) != 1:
            raise ValueError(f"found {len(chosen)} utterances")

    return {"median ms": 1e3 * statistics.median(timed(find, [utterances // 3, utterances // 2]))}


def measure(
    store: Scaled, work: Path, firsts: int, constant: Mapping[str, float]
) -> dict[str, str | int | float]:
    """Everything about one size."""
    written = fresh(index, store.path)
    found = fresh(look_up, store.path, store.utterances)
    numbers = np.random.default_rng().integers(0, store.utterances, firsts).tolist()
    early = [fresh(first, store.path, number)["ms"] for number in numbers]
    summed = fresh(sum_up, store.path)
    most = link(store, work / f"{store.utterances}-most", whole_parts(int(0.9 * store.utterances)))
    afresh, rest = fresh(plan, store.path, work / "empty"), fresh(plan, store.path, most.path)
    theirs = fresh(sqlite, store.path, work / f"{store.utterances}.sqlite", store.utterances)
    scanned = fresh(scan, store.path, store.utterances)
    return {
        "row": "measured",
        "utterances": store.utterances,
        "hours": store.utterances * FRAMES * FRAME_SHIFT / 3600,
        "shards": store.shards,
        "manifest MB": store.manifest_bytes / 1e6,
        "index MB": written["bytes"] / 1e6,
        "compact s": constant["ms a shard"] * store.shards / 1e3,
        "index s": written["s"],
        "index memory MB": written["memory MB"],
        "first ms": statistics.median(early),
        **found,
        "info s": summed["s"],
        "info memory MB": summed["memory MB"],
        "plan s": afresh["s"],
        "plan memory MB": afresh["memory MB"],
        "plan, 90 % there, s": rest["s"],
        "plan, 90 % there, memory MB": rest["memory MB"],
        "imports memory MB": constant["imports memory MB"],
        "SQLite s": theirs["s"],
        "SQLite MB": theirs["bytes"] / 1e6,
        "SQLite median ms": theirs["median ms"],
        "pyarrow scan ms": scanned["median ms"],
    }


def extrapolated(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """What grows, for many hours: by the straight line through the sizes around them, or the two largest."""
    found: list[Row] = []
    for hours in HOURS:
        before, last = next((pair for pair in pairwise(rows) if hours <= pair[1]["hours"]), rows[-2:])
        utterances = round(hours * 3600 / FRAMES / FRAME_SHIFT)
        row: dict[str, str | int | float] = dict.fromkeys(last, "-")
        row |= {"row": "extrapolated", "utterances": utterances, "hours": hours}
        row["shards"] = -(-utterances // UTTERANCES)
        for name in GROWS:
            slope = (last[name] - before[name]) / (last["hours"] - before["hours"])
            row[name] = max(last[name] + slope * (hours - last["hours"]), 0.0)
        found.append(row)
    return found


def prepare(work: Path, sizes: Sequence[int]) -> tuple[list[Scaled], dict[str, float]]:
    """A store of each size and an empty one; and what does not hang on the size."""
    write_root(work / "empty", attributes_of(0, 0).model_copy(update={"complete": None}))
    *smaller, most = map(whole_parts, sizes)
    largest = make(work / "largest", most)
    stores = [link(largest, work / str(utterances), utterances) for utterances in smaller]
    singles, shards = work / "singles", min(1024, largest.shards)
    for shard in range(shards):
        write_part(singles, shard, shard, most)
    write_root(singles, attributes_of(shards, shards * UTTERANCES, compacted=False))
    return [*stores, largest], {
        "imports memory MB": fresh(nothing)["memory MB"],
        **fresh(merge, singles, shards),
    }


def main(json: JsonOption = None, quick: QuickOption = False, work: WorkOption = None) -> None:
    """Seconds, bytes and memory of opening, finding, summing up and planning, by the number of utterances."""
    place = Path(tempfile.mkdtemp(dir=work))
    try:
        stores, constant = prepare(place, QUICK if quick else FULL)
        rows = [measure(store, place, 1 if quick else FIRSTS, constant) for store in stores]
    finally:
        shutil.rmtree(place)
    shown = ["hours", "manifest MB", "compact s", "open s", "median ms", "plan s", "plan memory MB"]
    report("scale", [*rows, *extrapolated(rows)], promises(*rows[-2:]), json, shown)


def promises(before: Mapping[str, Any], largest: Mapping[str, Any]) -> list[Target]:
    """For the largest store, and how much more it takes than the one before."""
    more = max(largest[name] - before[name] for name in ("plan memory MB", "plan, 90 % there, memory MB"))
    millions = (largest["utterances"] - before["utterances"]) / 1e6
    return [
        below("opening, s", largest["open s"], 5),
        below("first look-up of a process, ms", largest["first ms"], 10),
        below("look-up, ms, median", largest["median ms"], 10),
        below("look-up, ms, 99 of 100", largest["p99 ms"], 10),
        below("planning, s", largest["plan s"], 120),
        below("planning, MB", largest["plan memory MB"], 2000),
        below("planning with most there, s", largest["plan, 90 % there, s"], 120),
        below("planning with most there, MB", largest["plan, 90 % there, memory MB"], 2000),
        below("planning, memory a million utterances more, MB", more / millions, 5),
    ]


def below(name: str, value: float, target: float) -> Target:
    return Target(name, value, target, value < target)


if __name__ == "__main__":
    typer.run(main)
