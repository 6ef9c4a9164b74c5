"""The golden stores of format version 1: ``python -m tests.golden.make`` wrote what lies in ``v1/``.

They are never written again once a release has read them: what they hold is what users' stores hold. Until
then, a change of the format removes ``v1/`` and runs this.

Inputs come from whole numbers alone, so that they are the same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zstandard
from numpy.typing import NDArray

import softstore
from softstore import Fidelity
from softstore.codecs import Codec, FittedToSample, Float16, Float32, TopK, UInt8
from softstore.compact import compact
from softstore.storage import open_storage

GOLDEN = Path(__file__).parent / "v1"
CLASSES = 40
DIMENSIONS = 6
LENGTHS = {"a": 21, "ü b/2": 40, "c": 33}
MAX_MEAN_KL = 0.05
MAX_KL = 0.001
CODECS: dict[str, Codec | FittedToSample] = {
    "float32": Float32(),
    "float16": Float16(),
    "uint8": UInt8(),
    "topk": TopK(k=8),
    "transform": Fidelity(MAX_MEAN_KL, MAX_KL),
}
COMPACTED = "topk"
TEMPERATURES = (1.0, 2.0)


def _whole_numbers(seed: int) -> Iterator[int]:
    """-64 … 63, by a linear congruential generator."""
    state = seed
    while True:
        state = (1_103_515_245 * state + 12_345) % 2**31
        yield (state >> 16) % 128 - 64


def _matrix(seed: int, rows: int, columns: int) -> NDArray[np.float32]:
    numbers = _whole_numbers(seed)
    found = np.array([[next(numbers) for _ in range(columns)] for _ in range(rows)], np.float32)
    return found / np.float32(32)


def features(utterance_id: str) -> NDArray[np.float16]:
    """Shape (frames, 6); every 8th frame is twice as loud."""
    found = _matrix(sum(utterance_id.encode()), LENGTHS[utterance_id], DIMENSIONS)
    found[::8] *= 2
    return found.astype(np.float16)


def logits(utterance_id: str) -> NDArray[np.float32]:
    """Shape (frames, 40); exact in float32."""
    return features(utterance_id).astype(np.float32) @ (2 * _matrix(7, DIMENSIONS, CLASSES))


def write_store(path: Path, codec: Codec | FittedToSample) -> None:
    """Three utterances in two shards."""
    with softstore.create(
        path,
        class_count=CLASSES,
        codec=codec,
        teacher="golden",
        description={"größe": 1e-7},
        features={"kind": "whole numbers"},
        shard_frames=64,
        chunk_frames=16,
    ) as recorder:
        for number, name in enumerate(LENGTHS):
            recorder.add(
                name,
                logits(name),
                features=features(name),
                labels=logits(name).argmax(axis=1),
                speaker=f"speaker {number % 2}",
                split="cv" if number == 2 else "train",
                text="the quick brown fox",
                snr_db=None if number == 1 else 2.5 * number,
            )


def compressors() -> dict[str, str]:
    """What compresses shards and codec arrays: the same versions give the same bytes."""
    return {"zstandard": zstandard.__version__, "numcodecs": numcodecs.__version__}


def _expected(path: Path) -> dict[str, Any]:
    utterances = {}
    for utterance in softstore.open(path).scan():
        frames = [0, utterance.num_frames // 2, utterance.num_frames - 1]
        posteriors = {
            f"{temperature:g}": np.round(utterance.posteriors(temperature)[frames].astype(float), 6).tolist()
            for temperature in TEMPERATURES
        }
        utterances[utterance.utterance_id] = {"frames": frames, "posteriors": posteriors}
    return {"compressors": compressors(), "utterances": utterances}


def main() -> None:
    for name, codec in CODECS.items():
        path = GOLDEN / name / "store"
        write_store(path, codec)
        if name == COMPACTED:
            compact(open_storage(path, writable=True))
        text = json.dumps(_expected(path), ensure_ascii=False)
        (GOLDEN / name / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
