"""What codecs promise, over random posteriors of any shape and sharpness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from softstore.codecs import CODECS, Codec, Float16, TopK, codec_from_config
from softstore.errors import FormatError, InvalidInputError
from softstore.softening import kl_divergence, log_soften

temperatures = st.floats(0.3, 50.0)


def log_posteriors(seed: int, frames: int, classes: int, sharpness: float) -> Tensor:
    logits = sharpness * torch.randn(frames, classes, generator=torch.Generator().manual_seed(seed))
    return torch.log_softmax(logits, dim=-1)


def decoded(codec: Codec, truth: Tensor, temperature: float) -> Tensor:
    encoded = {name: torch.from_numpy(array) for name, array in codec.encode(truth).items()}
    return codec.decode(encoded, truth.shape[1], temperature)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(17, 300), st.floats(0.01, 30.0), temperatures)
@pytest.mark.parametrize("codec", [Float16(), TopK(k=16)])
def test_decoded_rows_are_distributions_at_any_temperature(
    codec: Codec, seed: int, classes: int, sharpness: float, temperature: float
) -> None:
    rows = decoded(codec, log_posteriors(seed, 5, classes, sharpness), temperature)
    assert rows.shape == (5, classes)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.exp().sum(dim=-1), torch.ones(5), atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 20.0), temperatures)
def test_float16_is_exact_but_for_half_precision(seed: int, sharpness: float, temperature: float) -> None:
    truth = log_posteriors(seed, 5, 300, sharpness)
    divergence = kl_divergence(log_soften(truth, temperature), decoded(Float16(), truth, temperature))
    # Rounding moves log p by up to 2^-11 of itself; its square over 2 T^2 bounds the divergence.
    spread = truth.abs().amax(dim=-1) / 2048 / temperature
    assert (divergence <= spread.square() + 1e-6).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 20.0), st.sampled_from([1.0, 2.0, 4.0, 8.0]))
def test_topk_keeps_head_and_tail_mass_at_the_stored_temperatures(
    seed: int, sharpness: float, temperature: float
) -> None:
    truth = log_posteriors(seed, 5, 300, sharpness)
    codec = TopK(k=16)
    head = truth.topk(16, dim=-1).indices
    wanted = log_soften(truth, temperature).exp().gather(-1, head)
    found = decoded(codec, truth, temperature).exp().gather(-1, head)
    torch.testing.assert_close(found, wanted, atol=4e-3, rtol=1e-2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 20.0), st.floats(1.0, 1000.0))
def test_topk_never_gives_the_tail_less_than_it_had_between_stored_temperatures(
    seed: int, sharpness: float, temperature: float
) -> None:
    truth = log_posteriors(seed, 5, 300, sharpness)
    head = truth.topk(16, dim=-1).indices
    softened = log_soften(truth, temperature).exp()
    tail = 1 - softened.gather(-1, head).sum(dim=-1)
    found = 1 - decoded(TopK(k=16), truth, temperature).exp().gather(-1, head).sum(dim=-1)
    assert (found >= tail - 4e-3).all()


def test_topk_with_every_bit_of_mass_in_the_head() -> None:
    truth = torch.full((1, 100), -200.0)
    truth[0, :4] = torch.tensor([0.7, 0.1, 0.1, 0.1]).log()
    found = decoded(TopK(k=4), truth, 1.0).exp()
    torch.testing.assert_close(found[0, :4], truth[0, :4].exp(), atol=2e-3, rtol=0)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("codec", [Float16(), TopK(k=7)])
def test_a_codec_is_rebuilt_from_its_parameters(codec: Codec) -> None:
    assert codec_from_config(codec.config()) == codec
    arrays = codec.encode(log_posteriors(0, 3, 50, 1.0))
    for name, spec in codec.tracks(50).items():
        assert arrays[name].shape == (3, spec.width)
        assert arrays[name].dtype == np.dtype(spec.dtype)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"name": "gzip"},
        {"name": "topk"},
        {"name": "topk", "k": "x", "betas": []},
        {"name": "topk", "k": 4, "betas": []},
        {"name": "topk", "k": 4, "betas": [0.5, 1]},
    ],
)
def test_unknown_parameters_are_an_error(config: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        codec_from_config(config)


@pytest.mark.parametrize("classes", [16, 70_000])
def test_topk_refuses_class_counts_it_cannot_hold(classes: int) -> None:
    with pytest.raises(InvalidInputError, match="needs 17 to 65,536 classes"):
        TopK(k=16).tracks(classes)


def test_every_codec_is_registered_under_its_own_name() -> None:
    assert all(CODECS[name].name == name for name in CODECS)
