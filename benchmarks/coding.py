"""The transform codec's coefficients as bytes: codebooks and zstd, against other coders of the same integers.

Everybody codes the same rounded coefficients of held-out frames (`benchmarks.posteriors`), 32 blocks of 8
frames at a time, as the chunks of a store do. A coder that looks at one coefficient at a time cannot go below
the entropy of the columns. Codebooks cost a little fidelity: they replace rare combinations by near ones.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import typer
import zstandard
from numcodecs.pcodec import PCodec
from numpy.typing import NDArray

from benchmarks.harness import JsonOption, QuickOption, Row, alternating, report
from benchmarks.posteriors import WORK, Utterances, WorkOption, prepare
from softstore.codecs import Fidelity, Transform
from softstore.codecs.transform.blocks import to_frequencies

FRAMES = 16_384
BLOCKS = 32
COLUMNS = 256
"""Of equal spread side by side: they share what a coder learns."""

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Coder:
    """Integers of 32 blocks, (blocks, columns), int32, as bytes and back."""

    encode: Callable[[NDArray[np.int32]], list[bytes]]
    decode: Callable[[list[bytes]], NDArray[np.integer]]


def rounded(codec: Transform, utterances: Utterances) -> NDArray[np.int32]:
    """Coefficients in whole steps, (blocks, columns): those that codebooks have, the widest spread first."""
    found = []
    for log_posteriors in utterances.within(FRAMES):
        centred = log_posteriors - log_posteriors.mean(dim=-1, keepdim=True) - torch.from_numpy(codec.mean)
        frequencies = to_frequencies(centred @ torch.from_numpy(codec.basis).float().T, codec.block_frames)
        found.append((frequencies / torch.from_numpy(codec.steps)).round().clamp(-127, 127).flatten(1))
    values = torch.cat(found).to(torch.int32).numpy()
    columns = np.sort(codec.codebooks.columns[codec.codebooks.columns >= 0])
    order = columns[np.argsort(-values[:, columns].std(axis=0), kind="stable")]
    kept = np.zeros_like(values)
    kept[:, order] = values[:, order]
    return kept


def by_codebooks(codec: Transform) -> Coder:
    """As a store has it: a byte for a group of columns, 32 columns of 8 rows a chunk."""
    books = codec.codebooks
    lookup = books.lookup(torch.device("cpu"))
    compress, decompress = zstandard.ZstdCompressor(level=1).compress, zstandard.ZstdDecompressor().decompress
    words = books.words.reshape(-1, books.words.shape[2])
    first = np.arange(len(books)) * books.words.shape[1]

    def encode(values: NDArray[np.int32]) -> list[bytes]:
        coded = lookup.encode(torch.from_numpy(values).float()).numpy()
        return [
            compress(coded[:, start : start + COLUMNS].tobytes()) for start in range(0, len(books), COLUMNS)
        ]

    def decode(pieces: list[bytes]) -> NDArray[np.integer]:
        parts = [np.frombuffer(decompress(piece), np.uint8).reshape(BLOCKS, -1) for piece in pieces]
        found: NDArray[np.integer] = words.take(np.concatenate(parts, axis=1) + first, axis=0)
        return found

    return Coder(encode, decode)


def by_columns(
    order: NDArray[np.int64],
    dtype: np.dtype[Any],
    compress: Callable[[NDArray[np.integer]], bytes],
    decompress: Callable[[bytes], bytes | NDArray[np.integer]],
) -> Coder:
    """A number for every coefficient, columns of equal spread side by side."""

    def encode(values: NDArray[np.int32]) -> list[bytes]:
        wide = values[:, order].T.astype(dtype)
        return [
            compress(np.ascontiguousarray(part)) for part in np.array_split(wide, -(-len(wide) // COLUMNS))
        ]

    def decode(pieces: list[bytes]) -> NDArray[np.integer]:
        return np.concatenate([np.frombuffer(decompress(piece), dtype) for piece in pieces])

    return Coder(encode, decode)


def entropy(values: NDArray[np.int32]) -> float:
    """Bits of a row, (rows, columns), by the distribution of each column."""
    bits = 0.0
    for column in values[:, values.any(axis=0)].T:
        share = np.bincount(column - column.min()) / len(column)
        bits -= float((share[share > 0] * np.log2(share[share > 0])).sum())
    return bits


def main(json: JsonOption = None, quick: QuickOption = False, work: WorkOption = WORK) -> None:
    """Bytes per frame of the default codec's coefficients, and how fast they come back, by several coders."""
    posteriors = prepare(work, quick)
    codec = Fidelity().fit(posteriors.sample)
    values = rounded(codec, posteriors.held_out)
    chunks = [values[start : start + BLOCKS] for start in range(0, len(values) - BLOCKS + 1, BLOCKS)]
    frames = len(chunks) * BLOCKS * codec.block_frames
    order = np.argsort(-values.std(axis=0), kind="stable")[: int(values.any(axis=0).sum())]
    zstd, unzstd = zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor()
    pcodec = PCodec(level=8)
    coders = {
        "codebooks, zstd": by_codebooks(codec),
        "a byte each, zstd": by_columns(
            order, np.dtype(np.int8), lambda part: zstd.compress(part.tobytes()), unzstd.decompress
        ),
        "pcodec": by_columns(order, np.dtype(np.int16), pcodec.encode, pcodec.decode),
    }
    coded = {name: [coder.encode(chunk) for chunk in chunks] for name, coder in coders.items()}

    def decode(name: str) -> None:
        for pieces in coded[name]:
            coders[name].decode(pieces)

    seconds = alternating({name: partial(decode, name) for name in coders}, 1 if quick else ROUNDS)
    rows: list[Row] = [
        {
            "coder": name,
            "bytes/frame": sum(len(piece) for pieces in coded[name] for piece in pieces) / frames,
            "decoded frames/s": frames / statistics.median(seconds[name]),
        }
        for name in coders
    ]
    least = entropy(values) / 8 / codec.block_frames
    rows.append({"coder": "entropy of columns", "bytes/frame": least, "decoded frames/s": "-"})
    report("coding", rows, [], json)


if __name__ == "__main__":
    typer.run(main)
