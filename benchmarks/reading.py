"""Random spans and whole scans of soft targets, against whatever else can hold them.

zarr-python, zarrs and tensorstore read the very objects of our stores; NumPy memmap, HDF5 and lilcom hold the
same log-posteriors in files of their own. Everything is opened once, and what a reader then keeps it may use.
Spans are 500 frames of random utterances, one after another. Local files are in the page cache. On S3 (moto's
server on loopback, slow to answer) the figures show how many requests readers make; the server counts them.
Contenders that cannot read from S3 are left out there.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import typer
from torch import Tensor

import softstore
from benchmarks.harness import (
    JsonOption,
    QuickOption,
    Row,
    Target,
    alternating,
    median_ratio,
    report,
)
from benchmarks.readers import (
    Reader,
    Span,
    hdf5_reader,
    lilcom_reader,
    memmap_reader,
    softstore_reader,
    tensorstore_reader,
    zarr_reader,
    zarrs_reader,
)
from benchmarks.s3_server import BUCKET, S3Server, s3_server
from softstore import Store
from softstore.codecs import Codec, Fidelity, FittedToSample, Float16
from softstore.storage import open_storage

SPAN_FRAMES = 500


@dataclass(frozen=True)
class Size:
    """How much is read."""

    classes: int
    frames: Mapping[str, int]
    spans: int
    remote_spans: int
    rounds: int


FULL = Size(2008, {"transform": 65_536, "float16": 16_384}, spans=100, remote_spans=15, rounds=5)
QUICK = Size(200, {"transform": 8_192, "float16": 2_048}, spans=10, remote_spans=2, rounds=1)


CODECS: dict[str, Codec | FittedToSample] = {"transform": Fidelity(), "float16": Float16()}
"""What the stores are made of: the default, and dense rows."""


def utterances(frames: int, classes: int) -> Iterator[tuple[str, Tensor]]:
    """Synthetic log-posteriors of utterances of 500 to 1,500 frames: sharp, smooth in time, few factors."""
    generator = torch.Generator().manual_seed(0)
    loadings = torch.randn(48, classes, generator=generator)
    number = 0
    while frames >= SPAN_FRAMES:
        length = min(int(torch.randint(SPAN_FRAMES, 1500, (), generator=generator)), frames)
        factors = torch.randn(length, 48, generator=generator).cumsum(0)
        factors = factors - factors.roll(6, dims=0)
        yield f"utterance-{number:05d}", torch.log_softmax(0.35 * factors @ loadings, dim=-1)
        number, frames = number + 1, frames - length


def make_store(path: Path, codec: Codec | FittedToSample, frames: int, classes: int) -> Store:
    """A local store of `utterances`."""
    with softstore.create(path, class_count=classes, codec=codec, teacher="synthetic") as recorder:
        for utterance_id, log_posteriors in utterances(frames, classes):
            recorder.add(utterance_id, log_posteriors)
    return softstore.open(path)


def random_spans(store: Store, count: int) -> list[Span]:
    rows = store.manifest.table.select(["utterance_id", "first_frame", "num_frames"]).to_pylist()
    random = np.random.default_rng(1)
    chosen = [rows[index] for index in random.integers(len(rows), size=count)]
    starts = [int(random.integers(row["num_frames"] - SPAN_FRAMES + 1)) for row in chosen]
    return [
        Span(row["utterance_id"], row["first_frame"], start, start + SPAN_FRAMES)
        for row, start in zip(chosen, starts, strict=True)
    ]


def compare(
    where: str, content: str, store: Store, readers: Mapping[str, Reader], size: Size, server: S3Server | None
) -> list[Row]:
    """A row for each contender, timed in turn."""
    spans = random_spans(store, size.remote_spans if server else size.spans)

    def all_spans(reader: Reader) -> None:
        for span in spans:
            reader.span(span)

    by_span = alternating({name: partial(all_spans, reader) for name, reader in readers.items()}, size.rounds)
    by_scan = alternating({name: reader.scan for name, reader in readers.items()}, size.rounds)
    decoding = {name: reader.decoded_scan for name, reader in readers.items() if reader.decoded_scan}
    # Seconds each, and far apart: once will do.
    by_decoded = {} if server else alternating(decoding, 1)
    frames = store.manifest.frames
    return [
        {
            "storage": where,
            "content": content,
            "contender": name,
            "spans/s": len(spans) / statistics.median(by_span[name]),
            "times zarr-python": median_ratio(by_span[name], by_span["zarr-python"]),
            "times tensorstore": median_ratio(by_span[name], by_span["tensorstore"]),
            "scan frames/s": frames / statistics.median(by_scan[name]),
            "decoded frames/s": frames / statistics.median(by_decoded[name]) if name in by_decoded else "-",
            "requests/span/array": requests(server, all_spans, reader, len(spans)) if server else "-",
        }
        for name, reader in readers.items()
    ]


def requests(server: S3Server, read: Callable[[Reader], None], reader: Reader, spans: int) -> float:
    """How many requests the reader makes for one array of one span."""
    before = server.requests()
    read(reader)
    return (server.requests() - before) / spans / reader.arrays


def upload(store: Store, url: str) -> Store:
    """The same objects on S3."""
    there = open_storage(url, writable=True)
    for path, _ in store.frames.storage.walk():
        there.put(path, store.frames.storage.get(path))
    return softstore.open(url)


def zarr_readers(store: Store) -> dict[str, Reader]:
    """Contenders that read our objects from anywhere."""
    return {
        "softstore": softstore_reader(store),
        "zarr-python": zarr_reader(store),
        "tensorstore": tensorstore_reader(store),
    }


def main(json: JsonOption = None, quick: QuickOption = False) -> None:
    """Spans and frames per second, and requests per span, of every contender on this machine."""
    size = QUICK if quick else FULL
    rows: list[Row] = []
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(s3_server())
        for content, codec in CODECS.items():
            store = make_store(work / content, codec, size.frames[content], size.classes)
            local = zarr_readers(store) | {"zarrs": zarrs_reader(store)}
            if content == "float16":
                local["numpy memmap"] = memmap_reader(store, work)
                local["HDF5 + gzip"] = hdf5_reader(store, work)
                local["lilcom"] = lilcom_reader(store, work)
            rows += compare("local", content, store, local, size, None)
            remote = upload(store, f"s3://{BUCKET}/{content}")
            rows += compare("S3", content, remote, zarr_readers(remote), size, server)
    report("reading", rows, promises(rows, "transform"), json)


def promises(rows: Sequence[Row], content: str) -> list[Target]:
    """Those of our own store of that content."""
    ours = {
        str(row["storage"]): row
        for row in rows
        if (row["contender"], row["content"]) == ("softstore", content)
    }
    local, requests_made = ours["local"], float(ours["S3"]["requests/span/array"])
    return [
        at_least("random spans, times zarr-python", local["times zarr-python"], 3),
        at_least("random spans, times tensorstore", local["times tensorstore"], 1),
        at_least("encoded scan, frames/s", local["scan frames/s"], 1_000_000),
        Target("requests per span and array", requests_made, 1, requests_made == 1),
    ]


def at_least(name: str, value: str | float, target: float) -> Target:
    return Target(name, float(value), target, float(value) >= target)


if __name__ == "__main__":
    typer.run(main)
