"""Every codec over rows that no teacher should give, but some do: each within its documented bound."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from softstore.codecs import Codec, Float16, Float32, TopK, UInt8, codec_from_config
from softstore.codecs.float16 import LOWEST
from softstore.codecs.uint8 import DEEPEST, STEPS
from softstore.softening import kl_divergence, log_soften

DENSE: list[Codec] = [Float32(), Float16(), UInt8()]
CODECS: list[Codec] = [*DENSE, TopK(k=1), TopK(k=16)]
TEMPERATURES = st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 100.0])
ROUNDING = 2e-6


def one_hot(classes: int, seed: int) -> Tensor:
    row = torch.full((classes,), -1e4)
    row[seed % classes] = 0.0
    return row


def uniform(classes: int, seed: int) -> Tensor:
    return torch.full((classes,), -math.log(classes))


def with_lowest(classes: int, seed: int) -> Tensor:
    row = gaussian(classes, seed)
    row[seed % classes] = -65504.0
    return row


def few_tied(classes: int, seed: int) -> Tensor:
    row = torch.full((classes,), -300.0)
    row[: 1 + seed % classes] = 0.0
    return row


def gaussian(classes: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 10 * torch.rand(1, generator=generator) * torch.randn(classes, generator=generator)


ROWS = [one_hot, uniform, with_lowest, few_tied, gaussian]


@st.composite
def posteriors(draw: st.DrawFn, fewest_classes: int = 2) -> Tensor:
    """Normalised log p, (1 … 40 frames, classes), of all kinds of rows mixed."""
    classes = draw(st.integers(fewest_classes, 200))
    kinds = draw(st.lists(st.sampled_from(ROWS), min_size=1, max_size=40))
    seed = draw(st.integers(0, 2**20))
    rows = [kind(classes, seed + number) for number, kind in enumerate(kinds)]
    return torch.log_softmax(torch.stack(rows), dim=-1)


def fewest_classes(codec: Codec) -> int:
    return codec.k + 1 if isinstance(codec, TopK) else 2


def decoded(codec: Codec, truth: Tensor, temperature: float) -> Tensor:
    encoded = {name: torch.from_numpy(array) for name, array in codec.encode(truth).items()}
    return codec.decode(encoded, truth.shape[1], temperature)


def same(left: dict[str, NDArray[np.generic]], right: dict[str, NDArray[np.generic]]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


@settings(max_examples=40, deadline=None)
@given(st.data(), TEMPERATURES)
@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_decoded_rows_are_finite_and_normalised(
    codec: Codec, data: st.DataObject, temperature: float
) -> None:
    truth = data.draw(posteriors(fewest_classes(codec)))
    rows = decoded(codec, truth, temperature)
    assert rows.shape == truth.shape
    assert rows.dtype == torch.float32
    assert bool(torch.isfinite(rows).all())
    torch.testing.assert_close(rows.exp().sum(dim=-1), torch.ones(len(rows)), atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.data())
@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_what_is_stored_is_what_was_declared_and_depends_on_its_own_frame_alone(
    codec: Codec, data: st.DataObject
) -> None:
    truth = data.draw(posteriors(fewest_classes(codec)))
    frames, classes = truth.shape
    before = truth.clone()
    encoded = codec.encode(truth)
    assert torch.equal(truth, before)
    specs = codec.tracks(classes)
    assert {name: (array.dtype, array.shape) for name, array in encoded.items()} == {
        name: (np.dtype(spec.dtype), (frames,) if spec.width is None else (frames, spec.width))
        for name, spec in specs.items()
    }
    assert same(encoded, codec.encode(truth))
    assert codec.block_frames == 1
    start = data.draw(st.integers(0, frames - 1))
    stop = data.draw(st.integers(start + 1, frames))
    sliced = {name: array[start:stop] for name, array in encoded.items()}
    assert same(sliced, codec.encode(truth[start:stop]))


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_codec_is_rebuilt_from_its_config_and_arrays(codec: Codec) -> None:
    assert codec_from_config(json.loads(json.dumps(codec.config())), codec.arrays()) == codec


@settings(max_examples=60, deadline=None)
@given(posteriors(), TEMPERATURES)
def test_float32_is_exact(truth: Tensor, temperature: float) -> None:
    assert torch.equal(decoded(Float32(), truth, temperature), log_soften(truth, temperature))


@settings(max_examples=60, deadline=None)
@given(posteriors(), TEMPERATURES)
def test_float16_moves_log_p_by_at_most_half_a_unit_in_the_last_place(
    truth: Tensor, temperature: float
) -> None:
    in_range = truth.clamp_min(LOWEST)
    moved = (torch.from_numpy(Float16().encode(truth)["log_posteriors"]).float() - in_range).abs()
    assert bool((moved <= in_range.abs() / 2048 + 1e-7).all())
    # Classes without any mass at this temperature may move as they like.
    wanted = log_soften(truth, temperature)
    heavy = torch.where(wanted > -80, truth.abs(), 0.0).amax(dim=-1) / 2048 / temperature
    divergence = kl_divergence(wanted, decoded(Float16(), truth, temperature))
    assert bool((divergence <= heavy.square() / 2 + ROUNDING).all())


@settings(max_examples=60, deadline=None)
@given(posteriors(), TEMPERATURES)
def test_uint8_keeps_its_bound(truth: Tensor, temperature: float) -> None:
    span = (truth.amax(dim=-1) - truth.amin(dim=-1)).clamp_max(DEEPEST)
    bound = (span / STEPS).square() / (8 * temperature**2)
    lifted = truth.shape[1] * math.exp(-DEEPEST / temperature)
    divergence = kl_divergence(log_soften(truth, temperature), decoded(UInt8(), truth, temperature))
    assert bool((divergence <= bound + lifted + ROUNDING).all())


@settings(max_examples=60, deadline=None)
@given(posteriors(fewest_classes=17), st.sampled_from([1.0, 2.0, 4.0, 8.0]))
def test_topk_keeps_every_kept_class_at_the_stored_temperatures(truth: Tensor, temperature: float) -> None:
    wanted = log_soften(truth, temperature).exp()
    found = decoded(TopK(k=16), truth, temperature).exp()
    kept = truth.topk(16, dim=-1).values[:, -1:]
    head = truth > kept
    # Half a step of log p, and a tail whose log-partition is a float16.
    lost = (wanted - found).abs().where(head, 0.0)
    assert bool((lost <= 5e-3).all())
    tail = (1 - wanted.where(head, 0.0).sum(dim=-1)) - (1 - found.where(head, 0.0).sum(dim=-1))
    assert bool((tail.abs() <= 5e-3).all())
