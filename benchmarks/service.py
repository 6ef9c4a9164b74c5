"""Requests to `softstore serve`, against a bare uvicorn that sends as many bytes which are ready.

One span of 500 frames out of 2008 senones, in every codec and format, asked for again and again over
loopback; both servers are one process, and take turns. Answers that have to be softened are compared with
what softening takes in this process, without a server; how long the bare server is sending as many bytes is
told beside that. A whole shard shows how fast bytes stream, and a
hundred thousand requests whether memory grows.
"""

from __future__ import annotations

import json as jsons
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch
import typer

from benchmarks.bare_server import PIECE_BYTES
from benchmarks.harness import JsonOption, QuickOption, Row, Target, report
from benchmarks.http_load import Load, Request, load
from benchmarks.reading import SPAN_FRAMES, make_store
from benchmarks.servers import Server, server
from softstore import Store
from softstore.codecs import Codec, Fidelity, FittedToSample, Float16, Float32, TopK, UInt8

CODECS: dict[str, Codec | FittedToSample] = {
    "transform": Fidelity(),
    "topk": TopK(k=64),
    "uint8": UInt8(),
    "float16": Float16(),
    "float32": Float32(),
}
ID = "utterance-00000"
TEMPERATURE = 2.0
CONNECTIONS = 16
READY_SHARE, SOFTENING_TIMES = 0.7, 1.3
STREAMED_SHARE = 800 / 1100
GROWTH = 1.05


@dataclass(frozen=True)
class Size:
    """How much is asked for; ``seconds`` of each of ``rounds`` turns."""

    classes: int
    frames: int
    seconds: int
    rounds: int
    requests: int
    codecs: tuple[str, ...]


FULL = Size(2008, 16_384, seconds=2, rounds=3, requests=100_000, codecs=tuple(CODECS))
QUICK = Size(200, 2_048, seconds=1, rounds=1, requests=500, codecs=("transform", "float32"))


def requests(url: str, name: str, store: Store) -> Iterator[tuple[str, Request]]:
    """By format: what is ready first, then what has to be softened."""
    here = f"{url}/v1/stores/{name}"
    span = {"utterance_id": ID, "start": 0, "stop": SPAN_FRAMES}
    path, held = max(store.manifest.objects.items(), key=lambda item: item[1].size)
    share = held.size * SPAN_FRAMES // store.manifest.frames
    yield "raw object", Request(f"{here}/objects/{path}", {"Range": f"bytes=0-{share}"})
    yield "encoded batch", _post(f"{here}/batch", {"items": [span], "encoding": "encoded"})
    posteriors = f"{here}/utterances/{ID}/posteriors?temperature={TEMPERATURE}&stop={SPAN_FRAMES}"
    softened = {"items": [span], "encoding": "posteriors", "temperature": TEMPERATURE}
    yield "batch", _post(f"{here}/batch", softened)
    yield "npy", Request(posteriors, {"Accept": "application/x-npy"})
    yield "npy float16", Request(f"{posteriors}&dtype=float16", {"Accept": "application/x-npy"})
    yield "Arrow", Request(posteriors, {"Accept": "application/vnd.apache.arrow.stream"})
    yield "JSON, top 10", Request(f"{posteriors}&top_k=10", {"Accept": "application/json"})
    yield "JSON", Request(posteriors, {"Accept": "application/json"})


READY = ("raw object", "encoded batch")


def _post(url: str, body: Mapping[str, Any]) -> Request:
    return Request(url, {"Content-Type": "application/json"}, jsons.dumps(body))


def answer_bytes(request: Request) -> int:
    """Of one answer's body."""
    method = "GET" if request.body is None else "POST"
    answer = httpx.request(
        method, request.url, headers=dict(request.headers), content=request.body, timeout=60
    )
    return len(answer.raise_for_status().content)


def ready(codec: str, name: str, request: Request, bare: Server, size: Size) -> Row:
    """Turns of both servers."""
    length = answer_bytes(request)
    theirs = Request(f"{bare.url}/{length}")
    pairs = [
        (load(request, size.seconds, CONNECTIONS), load(theirs, size.seconds, CONNECTIONS))
        for _ in range(size.rounds)
    ]
    share = statistics.median(our.per_second / their.per_second for our, their in pairs)
    ours, bares = ([pair[side] for pair in pairs] for side in (0, 1))
    return _row(codec, name, length, ours) | {
        "bare requests/s": statistics.median(one.per_second for one in bares),
        "% of bare": 100 * share,
    }


def softened(codec: str, name: str, request: Request, store: Store, bare: Server, size: Size) -> Row:
    """One client that waits for each answer, the same frames softened here, and as many bytes sent."""
    utterance = store[ID]
    length = answer_bytes(request)
    loads, times, bares = [], [], []
    for _ in range(size.rounds):
        loads.append(load(request, size.seconds, 1))
        bares.append(load(Request(f"{bare.url}/{length}"), 1, 1).p50_ms)
        here = []
        for _ in range(20):
            started = time.perf_counter()
            utterance.posteriors(TEMPERATURE, 0, SPAN_FRAMES)
            here.append(1e3 * (time.perf_counter() - started))
        times.append(loads[-1].p50_ms / statistics.median(here))
    return _row(codec, name, length, loads) | {
        "softening alone ms": statistics.median(here),
        "sending alone ms": statistics.median(bares),
        "times softening": statistics.median(times),
    }


def _row(codec: str, name: str, length: int, loads: list[Load]) -> dict[str, str | int | float]:
    return {
        "codec": codec,
        "answer": name,
        "bytes": length,
        "requests/s": statistics.median(one.per_second for one in loads),
        "p50 ms": statistics.median(one.p50_ms for one in loads),
        "p99 ms": statistics.median(one.p99_ms for one in loads),
        "bare requests/s": "-",
        "% of bare": "-",
        "softening alone ms": "-",
        "sending alone ms": "-",
        "times softening": "-",
    }


def streamed(url: str, store: Store, bare: Server, size: Size) -> Row:
    """A whole shard, over and over, by one client."""
    path, held = max(store.manifest.objects.items(), key=lambda item: item[1].size)
    ours = Request(f"{url}/v1/stores/float32/objects/{path}")
    theirs = Request(f"{bare.url}/{held.size}")
    pairs = [(load(ours, size.seconds, 1), load(theirs, size.seconds, 1)) for _ in range(size.rounds)]
    rates = [[one.bytes / one.seconds / 1e6 for one in pair] for pair in pairs]
    loads = [pair[0] for pair in pairs]
    return _row("float32", "whole shard", held.size, loads) | {
        "bare requests/s": statistics.median(pair[1].per_second for pair in pairs),
        "% of bare": 100 * statistics.median(our / their for our, their in rates),
        "MB/s": statistics.median(our for our, _ in rates),
        "bare MB/s": statistics.median(their for _, their in rates),
    }


def grown(asked: Mapping[str, Request], served: Server, size: Size) -> tuple[float, float]:
    """MB that the service holds after a tenth of the requests, and after all of them."""
    held = []
    for count in (size.requests // 10, size.requests):
        done = 0
        while done < count:
            for request in asked.values():
                done += load(request, 1, CONNECTIONS).requests
        held.append(served.memory_mb())
    return held[0], held[1]


@contextmanager
def running(stores: Mapping[str, Store]) -> Iterator[tuple[Server, Server]]:
    """The service and the bare server."""
    named = [f"{name}={store.url}" for name, store in stores.items()]
    with (
        server("softstore", "serve", *named, "--port", "0") as ours,
        server("benchmarks.bare_server") as bare,
    ):
        yield ours, bare


def main(json: JsonOption = None, quick: QuickOption = False) -> None:
    """Requests a second, latencies, megabytes a second, and memory."""
    size = QUICK if quick else FULL
    torch.set_num_threads(1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        stores = {
            name: make_store(Path(directory, name), CODECS[name], size.frames, size.classes)
            for name in size.codecs
        }
        with running(stores) as (ours, bare):
            for codec, store in stores.items():
                for name, request in requests(ours.url, codec, store):
                    if name in READY:
                        rows.append(ready(codec, name, request, bare, size))
                    else:
                        rows.append(softened(codec, name, request, store, bare, size))
            rows.append(streamed(ours.url, stores["float32"], bare, size))
            asked = dict(requests(ours.url, "transform", stores["transform"]))
            before, after = grown({name: asked[name] for name in (*READY, "JSON, top 10")}, ours, size)
    report("service", rows, targets(rows, before, after), json)


def targets(rows: list[Row], before: float, after: float) -> list[Target]:
    """What was promised."""
    found = []
    for name in READY:
        share = min(float(row["% of bare"]) for row in rows if row["answer"] == name) / 100
        found.append(
            Target(f"{name}, least share of bare requests/s", share, READY_SHARE, share >= READY_SHARE)
        )
    for name in ("npy", "Arrow"):
        times = max(float(row["times softening"]) for row in rows if row["answer"] == name)
        found.append(
            Target(f"{name}, most times softening", times, SOFTENING_TIMES, times <= SOFTENING_TIMES)
        )
    share = float(rows[-1]["% of bare"]) / 100
    pieces = f"streaming in pieces of {PIECE_BYTES >> 20} MB, share of bare"
    found.append(Target(pieces, share, STREAMED_SHARE, share >= STREAMED_SHARE))
    growth = after / before
    found.append(Target("memory after all requests, times", growth, GROWTH, growth <= GROWTH))
    return found


if __name__ == "__main__":
    typer.run(main)
