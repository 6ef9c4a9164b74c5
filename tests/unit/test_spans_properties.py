"""Any span of any utterance, at any temperature, is the same part of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import softstore
from softstore import InvalidInputError, Store
from softstore.codecs import Codec, Fidelity, FittedToSample, Float16, Float32, Parameters, TopK, UInt8

CLASSES = 50
LENGTHS = [1, 2, 15, 16, 17, 33, 60, 64]
CODECS: dict[str, Codec | FittedToSample] = {
    "float32": Float32(),
    "float16": Float16(),
    "uint8": UInt8(),
    "topk": TopK(k=8),
    "transform": Fidelity(0.01),
    "transform, some frames escalated": Parameters(step=8.0, refined=2, max_kl=0.2),
}


@pytest.fixture(scope="module", params=CODECS)
def stored(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    path: Path = tmp_path_factory.mktemp("spans") / "store"
    generator = torch.Generator().manual_seed(0)
    with softstore.create(
        path, class_count=CLASSES, codec=CODECS[request.param], teacher="t", shard_frames=64, chunk_frames=16
    ) as recorder:
        for frames in LENGTHS:
            logits = 5 * torch.randn(frames, CLASSES, generator=generator)
            recorder.add(f"{frames} frames", logits, features=logits[:, :2], labels=logits.argmax(dim=-1))
    return softstore.open(path)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LENGTHS), st.floats(0.01, 1e9), st.integers(0, 64), st.integers(0, 64) | st.none())
def test_a_span_is_that_part_of_the_whole(
    stored: Store, frames: int, temperature: float, start: int, stop: int | None
) -> None:
    utterance = stored[f"{frames} frames"]
    if not start <= (frames if stop is None else stop) <= frames:
        for read in (utterance.posteriors, utterance.top_k):
            with pytest.raises(InvalidInputError, match=f"has frames 0 to {frames}, no span from {start} to"):
                read(1, start=start, stop=stop)
        return
    span = slice(start, stop)
    whole = utterance.posteriors(temperature)
    assert whole.shape == (frames, CLASSES)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(utterance.posteriors(temperature, start, stop), whole[span], atol=1e-6)
    np.testing.assert_allclose(
        utterance.log_posteriors(temperature, start, stop),
        utterance.log_posteriors(temperature)[span],
        rtol=1e-5,
        atol=1e-5,
    )
    top = utterance.top_k(3, temperature, start, stop)
    np.testing.assert_allclose(top.posteriors, -np.sort(-whole[span])[:, :3], atol=1e-6)
    np.testing.assert_array_equal(utterance.features(start, stop), utterance.features()[span])
    np.testing.assert_array_equal(utterance.labels(start, stop), utterance.labels()[span])


@settings(max_examples=30, deadline=None)
@given(st.integers(), st.integers())
def test_spans_that_are_reversed_negative_or_beyond_are_refused(store: Store, start: int, stop: int) -> None:
    if 0 <= start <= stop <= 300:
        return
    with pytest.raises(InvalidInputError, match="b has frames 0 to 300"):
        store["b"].posteriors(1.0, start, stop)
    with pytest.raises(InvalidInputError, match="b has frames 0 to 300"):
        store["b"].encoded(start, stop)
