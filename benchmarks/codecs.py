"""Bytes against divergence, and speed: our codecs, and how others store a teacher's outputs.

Everybody stores the same log-posteriors: those of `benchmarks.posteriors`, held-out noisy speech through a
teacher of the paper's size. Bytes are those on disk: ours as shard objects with indexes and checksums, others
as `benchmarks.layouts` says. Divergence is KL(p_T ‖ p̂_T) in nats, of what is read back from these bytes.
Speed is from posteriors to bytes and from bytes to log-posteriors at T = 2, in two threads of one core each,
contenders in turn.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.contenders import Contender, Ours, Part, Published, Written
from benchmarks.harness import JsonOption, QuickOption, Row, Target, alternating, report
from benchmarks.layouts import LAYOUTS
from benchmarks.posteriors import WORK, Utterances, WorkOption, prepare
from softstore.codecs import CODECS as OUR_FAMILIES
from softstore.codecs import Codec, Fidelity, Float16, Float32, TopK, UInt8
from softstore.softening import kl_divergence, log_soften

TEMPERATURES = (1.0, 1.5, 2.0, 4.0, 8.0)
PROMISED_TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
SIZE, ENCODED, DECODED = "bytes/frame", "encoded frames/s", "decoded frames/s"
EXACT = 1e-8
"""Drawn for no divergence at all, which no logarithm shows; float32 arithmetic sees nothing below it."""

SHOWN = ["contender", SIZE, *(f"mean KL T={T:g}" for T in (1, 2, 4, 8)), "max KL T=2", ENCODED, DECODED]
"""What fits on a terminal; the report has p99.9 and max at every temperature."""

THREADS = 2
TIMED_FRAMES = 8_000
ROUNDS = 3

DEFAULT = Fidelity().max_mean_kl

CODECS: list[tuple[str, Callable[[Utterances], Codec]]] = [
    *((f"transform, mean KL {kl:g}", Fidelity(kl).fit) for kl in (0.15, 0.05, DEFAULT, 0.003, 0.001, 0.0003)),
    ("transform, mean KL 0.01, every frame 0.05", Fidelity(DEFAULT, 0.05).fit),
    ("float32", lambda sample: Float32()),
    ("float16", lambda sample: Float16()),
    ("uint8", lambda sample: UInt8()),
    ("topk, k = 16", lambda sample: TopK(16)),
    ("topk, k = 64", lambda sample: TopK(64)),
    ("topk, k = 128", lambda sample: TopK(128)),
    ("topk, k = 256", lambda sample: TopK(256)),
]
"""Our codecs by name, each made from the sample."""

PlotOption = Annotated[
    Path | None, typer.Option("--plot", help="Draw bytes against divergence into this file (png, svg).")
]


def contenders(sample: Utterances) -> list[Contender]:
    """All that can hold so many classes."""
    ours = [Ours(name, make(sample)) for name, make in CODECS]
    everybody: list[Contender] = [*ours, *(Published(layout) for layout in LAYOUTS)]
    return [contender for contender in everybody if contender.kept < sample.class_count]


@contextmanager
def two_threads() -> Iterator[Executor]:
    """Threads that each work on utterances of their own, torch with one core in each."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def divergences(written: Written, truth: Utterances, pool: Executor) -> dict[float, NDArray[np.float32]]:
    """KL of every frame by temperature, each (frames,), nats."""

    def measure(part: Part) -> list[Tensor]:
        log_p = [truth[number] for number in part.utterances]
        return [
            torch.cat(
                [
                    kl_divergence(log_soften(wanted, temperature), found)
                    for wanted, found in zip(log_p, part.read(temperature), strict=True)
                ]
            )
            for temperature in TEMPERATURES
        ]

    by_temperature = zip(*pool.map(measure, written.parts), strict=True)
    return {T: torch.cat(kl).numpy() for T, kl in zip(TEMPERATURES, by_temperature, strict=True)}


def fidelity(contender: Contender, truth: Utterances, pool: Executor) -> dict[str, str | int | float]:
    """The columns of a row that are the same on any machine."""
    written = contender.write(truth, pool)
    row: dict[str, str | int | float] = {
        "contender": contender.name,
        "family": contender.family,
        "classes kept": contender.kept or truth.class_count,
        SIZE: written.size / truth.frames,
        "once (MB)": written.once / 1e6,
    }
    for temperature, kl in divergences(written, truth, pool).items():
        row[_mean(temperature)] = float(kl.mean(dtype=np.float64))
        row[f"p99.9 KL T={temperature:g}"] = float(np.quantile(kl, 0.999))
        row[f"max KL T={temperature:g}"] = float(kl.max())
    return row


def speeds(
    everybody: Sequence[Contender], utterances: Sequence[Tensor], rounds: int, pool: Executor
) -> list[dict[str, float]]:
    """Frames/s of each contender."""
    frames = sum(len(utterance) for utterance in utterances)

    def read(written: Written) -> None:
        for _ in pool.map(lambda part: part.read(2.0), written.parts):
            pass

    encoding = alternating(
        {contender.name: partial(contender.write, utterances, pool) for contender in everybody}, rounds
    )
    decoding = alternating(
        {contender.name: partial(read, contender.write(utterances, pool)) for contender in everybody}, rounds
    )
    return [
        {
            ENCODED: frames / statistics.median(encoding[contender.name]),
            DECODED: frames / statistics.median(decoding[contender.name]),
        }
        for contender in everybody
    ]


def targets(rows: Sequence[Row], class_count: int) -> list[Target]:
    """What is promised of the transform codec."""
    usual = next(row for row in rows if row["contender"] == f"transform, mean KL {DEFAULT:g}")
    transform = [row for row in rows if row["family"] == "transform"]
    topk = [row for row in rows if _number(row, "classes kept") < class_count]

    def at_most(size: int, target: float) -> Target:
        worst = [
            max(_number(row, _mean(temperature)) for temperature in PROMISED_TEMPERATURES)
            for row in transform
            if _number(row, SIZE) <= size
        ]
        # Where nothing is small enough: the divergence of somebody who knows nothing at all.
        value = min(worst, default=math.log(class_count))
        name = f"transform, mean KL at every T in 1, 2, 4, 8 within {size} bytes/frame"
        return Target(name, value, target, value <= target)

    def at_least(name: str, values: list[float], target: float) -> Target:
        value = min(values, default=0.0)
        return Target(name, value, target, value >= target)

    def ratio(other: Row, row: Row) -> float:
        return _number(other, _mean(2.0)) / _number(row, _mean(2.0))

    def as_small(row: Row, other: Row) -> bool:
        return _number(row, SIZE) <= _number(other, SIZE)

    best = [
        max((ratio(other, row) for row in transform if as_small(row, other)), default=0.0) for other in topk
    ]
    every = [ratio(other, row) for row in transform for other in topk if as_small(row, other)]
    return [
        at_most(200, 1e-2),
        at_most(500, 1e-3),
        at_least("KL at T = 2 of each top-k layout, times that of some transform as small", best, 10),
        at_least("KL at T = 2 of each top-k layout, times that of every transform as small", every, 10),
        at_least("transform as it is by default, encoded frames/s", [_number(usual, ENCODED)], 20_000),
        at_least("transform as it is by default, decoded frames/s", [_number(usual, DECODED)], 60_000),
    ]


def _mean(temperature: float) -> str:
    return f"mean KL T={temperature:g}"


def _number(row: Row, column: str) -> float:
    return float(row[column])


def draw(rows: Sequence[Row], path: Path) -> None:
    """Bytes against divergence, one line a family."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(rows, key=lambda row: (str(row["family"]), _number(row, SIZE)))
    families = groupby(ordered, key=lambda row: str(row["family"]))
    for number, (family, members) in enumerate(families):
        points = [(_number(row, SIZE), max(_number(row, _mean(2.0)), EXACT)) for row in members]
        style = "o-" if family in OUR_FAMILIES else "x--"
        axes.plot(*zip(*points, strict=True), style, color=colormaps["tab20"](number % 20), label=family)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("bytes per frame")
    axes.set_ylabel("mean KL at T = 2 (nats)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path)


def main(
    json: JsonOption = None, quick: QuickOption = False, work: WorkOption = WORK, plot: PlotOption = None
) -> None:
    """Bytes per frame, divergence at five temperatures, and frames per second of everybody."""
    posteriors = prepare(work, quick)
    truth = posteriors.held_out
    everybody = contenders(posteriors.sample)
    with two_threads() as pool:
        timed = speeds(everybody, truth.within(TIMED_FRAMES), 1 if quick else ROUNDS, pool)
        rows: list[Row] = [
            fidelity(contender, truth, pool) | speed
            for contender, speed in zip(everybody, timed, strict=True)
        ]
    report("codecs", rows, targets(rows, truth.class_count), json, SHOWN)
    if plot is not None:
        draw(rows, plot)


if __name__ == "__main__":
    typer.run(main)
