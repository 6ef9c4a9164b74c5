"""A corpus is stored, grows, and is stored again: what each run computes, writes and takes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import typer

from benchmarks.harness import JsonOption, QuickOption, Row, Target, report
from benchmarks.observed_teacher import ObservedTeacher, frames_asked
from benchmarks.random_corpus import CHUNK_FRAMES, add_utterances
from softstore.codecs import TopK
from softstore.corpus import Corpus
from softstore.generate import generate
from softstore.storage import open_storage
from softstore.store import open_store
from softstore.verify import verify

SHARD_FRAMES = 8192
FRAMES = (20, 60)


def main(json: JsonOption = None, quick: QuickOption = False) -> None:
    """10,000 utterances, 1,000 more, and a third time with nothing to do."""
    first, more = (100, 10) if quick else (10_000, 1_000)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        rows = [
            stored("10,000 utterances" if not quick else "100 utterances", work, range(first)),
            stored("1,000 more" if not quick else "10 more", work, range(first, first + more)),
            stored("again", work, range(0)),
        ]
        faults = len(verify(open_storage(work / "store")).faults)
        everything = len(open_store(work / "store"))
    targets = [
        Target("utterances stored", everything, first + more, everything == first + more),
        below("frames computed twice", sum(int(row["computed twice"]) for row in rows)),
        below("bytes written by the third run", int(rows[-1]["bytes written"])),
        below("faults", faults),
    ]
    report("growing", rows, targets, json)


def stored(name: str, work: Path, new: range) -> Row:
    """Add these to the corpus, and run over all of it."""
    if new:
        add_utterances(work / "corpus", new, FRAMES, SHARD_FRAMES)
    traces = work / name
    traces.mkdir()
    place = open_storage(work / "store", writable=True)
    before = {path: file.stat().st_mtime_ns for path, file in files(work / "store").items()}
    started = time.perf_counter()
    summary = generate(
        Corpus.open(str(work / "corpus")),
        ObservedTeacher(traces / "0"),
        place,
        TopK(k=16),
        shard_frames=SHARD_FRAMES,
        chunk_frames=CHUNK_FRAMES,
    )
    seconds = time.perf_counter() - started
    now = files(work / "store")
    written = [file for path, file in now.items() if before.get(path) != file.stat().st_mtime_ns]
    return {
        "run": name,
        "there before": summary.present,
        "stored": summary.utterances,
        "frames": summary.frames,
        "computed twice": frames_asked(traces) - summary.frames,
        "shards": summary.shards,
        "bytes written": sum(file.stat().st_size for file in written),
        "bytes in all": sum(file.stat().st_size for file in now.values()),
        "s": seconds,
    }


def files(place: Path) -> dict[str, Path]:
    return {str(file): file for file in place.rglob("*") if file.is_file()}


def below(name: str, value: int, most: int = 0) -> Target:
    return Target(name, value, most, value <= most)


if __name__ == "__main__":
    typer.run(main)
