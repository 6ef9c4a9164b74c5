"""The transform codec: its parts, what it keeps of any rows, and the bound it holds every frame to."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from softstore.certificate import divergences, measure
from softstore.codecs import Fidelity, Parameters, Transform, codec_from_config
from softstore.codecs.stored import join
from softstore.codecs.transform import refinement
from softstore.codecs.transform.blocks import cosine_matrix, from_frequencies, to_frequencies
from softstore.codecs.transform.codebook import Codebooks, fit_codebooks
from softstore.codecs.unpacked import OVERFLOW_FRAMES, select, span
from softstore.encoding import encode_utterance
from softstore.errors import FormatError, InvalidInputError
from softstore.softening import CERTIFICATE_TEMPERATURES, kl_divergence, log_soften

CLASSES = 300


def posteriors(frames: int, seed: int, classes: int = CLASSES) -> Tensor:
    """Normalised log p that moves slowly along time, sharp here and flat there, as a teacher's does."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(24, classes, generator=torch.Generator().manual_seed(99))
    steps = torch.randn(frames, 24, generator=generator)
    walk = torch.nn.functional.avg_pool1d(steps.T[None], 9, 1, 4)[0].T * 3
    noise = 0.3 * torch.randn(frames, classes, generator=generator)
    return torch.log_softmax(walk @ directions + noise, dim=-1)


@pytest.fixture(scope="module")
def sample() -> list[Tensor]:
    return [posteriors(frames, seed) for seed, frames in enumerate((400, 333, 512, 100, 257))]


@pytest.fixture(scope="module")
def codec(sample: list[Tensor]) -> Transform:
    return Fidelity(0.01).fit(sample)


def decoded(codec: Transform, log_p: Tensor, temperature: float = 1.0) -> Tensor:
    stored = {name: torch.from_numpy(array) for name, array in codec.encode(log_p).items()}
    unpacked = span(codec.unpack(stored), 0, len(log_p))
    return codec.decode(unpacked, log_p.shape[1], temperature)


def test_the_cosine_transform_is_orthonormal_and_undone() -> None:
    matrix = cosine_matrix(8)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(8), atol=1e-6, rtol=0)
    frames = torch.randn(21, 5)
    torch.testing.assert_close(from_frequencies(to_frequencies(frames, 8))[:21], frames, atol=1e-5, rtol=0)


@given(st.integers(1, 8), st.integers(2, 3000), st.integers(0, 2**32 - 1))
def test_corrections_survive_their_bytes(k: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    k = min(k, classes)
    chosen = np.stack([random.choice(classes, k, replace=False) for _ in range(5)])
    steps = random.integers(-127, 128, (5, k)).astype(np.float32)
    rows = refinement.pack(torch.from_numpy(chosen), torch.from_numpy(steps))
    found_classes, found_steps = refinement.unpack(rows)
    order = np.argsort(chosen, axis=1)
    np.testing.assert_array_equal(found_classes.numpy(), np.take_along_axis(chosen, order, 1))
    np.testing.assert_array_equal(found_steps.numpy(), np.take_along_axis(steps, order, 1))


def encode(books: Codebooks, values: NDArray[np.int32]) -> NDArray[np.uint8]:
    lookup = books.lookup(torch.device("cpu"))
    coded: NDArray[np.uint8] = lookup.encode(torch.from_numpy(values).float()).numpy()
    return coded


def test_codebooks_give_back_what_they_list_and_the_nearest_of_the_rest() -> None:
    random = np.random.default_rng(0)
    spread = np.concatenate([[30.0, 9.0, 2.0], np.full(40, 0.3), np.zeros(5)])
    values = np.rint(
        random.laplace(scale=spread, size=(4000, 48))
        if spread.all()
        else spread * random.laplace(size=(4000, 48))
    ).astype(np.int32)
    books = fit_codebooks(values)
    coded = encode(books, values)
    back = np.zeros_like(values)
    for group, columns in enumerate(books.columns):
        used = columns >= 0
        back[:, columns[used]] = books.words[group][coded[:, group]][:, used]
    assert len(books) < 25, "sparse columns share bytes"
    assert (back == values).mean() > 0.99
    assert np.abs(back - values).max() <= np.abs(values).max() // 2
    assert not back[:, 43:].any(), "columns that are always 0 stay 0"


def test_the_likeliest_byte_is_0() -> None:
    values = np.rint(np.random.default_rng(1).laplace(scale=0.3, size=(2000, 30))).astype(np.int32)
    coded = encode(fit_codebooks(values), values)
    assert (np.bincount(coded.ravel(), minlength=256).argmax()) == 0


@pytest.mark.parametrize("mean", [0.05, 0.01, 0.001])
def test_the_mean_that_is_asked_for_is_kept_on_other_frames(sample: list[Tensor], mean: float) -> None:
    codec = Fidelity(mean).fit(sample)
    log_p = posteriors(600, 77)
    kl = measure(codec, codec.encode(log_p), log_p, CERTIFICATE_TEMPERATURES).kl
    worst = max(float(values.mean()) for values in kl.values())
    assert mean / 20 < worst < mean * 1.2


def test_less_fidelity_takes_fewer_bytes(sample: list[Tensor]) -> None:
    coarse, fine = Fidelity(0.05).fit(sample), Fidelity(0.001).fit(sample)
    assert len(coarse.codebooks) < len(fine.codebooks)
    assert coarse.rank <= fine.rank


def test_it_softens_to_any_temperature(codec: Transform) -> None:
    log_p = posteriors(40, 5)
    for temperature in (0.01, 0.5, 3.0, 1e6):
        found = decoded(codec, log_p, temperature)
        torch.testing.assert_close(found.exp().sum(dim=-1), torch.ones(40), atol=1e-4, rtol=0)
        torch.testing.assert_close(
            found, log_soften(decoded(codec, log_p), temperature), atol=1e-3, rtol=1e-4
        )


def test_blocks_are_independent(codec: Transform) -> None:
    log_p = posteriors(64, 6)
    whole = codec.encode(log_p)
    parts = [codec.encode(log_p[start : start + 16]) for start in range(0, 64, 16)]
    for name, array in whole.items():
        np.testing.assert_array_equal(array, np.concatenate([part[name] for part in parts]))


def test_config_and_arrays_rebuild_it(codec: Transform) -> None:
    log_p = posteriors(30, 7)
    again = codec_from_config(codec.config(), codec.arrays())
    assert isinstance(again, Transform)
    torch.testing.assert_close(decoded(again, log_p), decoded(codec, log_p), atol=0, rtol=0)
    travelled = pickle.loads(pickle.dumps(codec))  # noqa: S301 - between processes of ours
    torch.testing.assert_close(decoded(travelled, log_p), decoded(codec, log_p), atol=0, rtol=0)


@pytest.mark.parametrize("name", ["mean", "basis", "steps", "columns", "words"])
def test_arrays_that_do_not_fit_are_refused(codec: Transform, name: str) -> None:
    arrays = codec.arrays()
    arrays[name] = np.concatenate([arrays[name], arrays[name]], axis=-1)
    with pytest.raises(FormatError):
        codec_from_config(codec.config(), arrays)
    del arrays[name]
    with pytest.raises(FormatError):
        codec_from_config(codec.config(), arrays)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1e-4, 1.0, 30.0]))
def test_any_rows_decode_to_distributions(classes: int, frames: int, seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_p = torch.log_softmax(scale * torch.randn(frames, classes, generator=generator), dim=-1)
    log_p[0] = -1e4
    log_p[0, seed % classes] = 0.0
    codec = Parameters(step=1.0, refined=1).fit([log_p, log_p])
    found = decoded(codec, log_p)
    assert bool(found.isfinite().all())
    torch.testing.assert_close(found.exp().sum(dim=-1), torch.ones(frames), atol=1e-4, rtol=0)


@pytest.mark.parametrize("bound", [0.05, 0.002, 1e-5])
def test_no_frame_is_beyond_the_bound(sample: list[Tensor], bound: float) -> None:
    codec = Parameters(step=8.0, refined=2, max_kl=bound).fit(sample)
    log_p = posteriors(200, 8)
    log_p[17] = -1e4
    log_p[17, 3] = 0.0
    plain = measure(codec, codec.encode(log_p), log_p, CERTIFICATE_TEMPERATURES)
    assert max(float(values.max()) for values in plain.kl.values()) > bound
    encoded = encode_utterance(codec, log_p, CERTIFICATE_TEMPERATURES, {"num_frames": 200}, {})
    stored = {name.removeprefix("targets/"): torch.from_numpy(rows) for name, rows in encoded.tracks.items()}
    unpacked = span(codec.unpack(stored), 0, 200)
    for temperature in CERTIFICATE_TEMPERATURES:
        kl = kl_divergence(log_soften(log_p, temperature), codec.decode(unpacked, CLASSES, temperature))
        assert float(kl.max()) <= bound * 1.001 + 1e-6
        assert encoded.row[f"max_kl_t{temperature:g}"] == pytest.approx(float(kl.max()), abs=2e-6)


def test_escalated_frames_keep_their_values_when_frames_are_picked(sample: list[Tensor]) -> None:
    codec = Parameters(step=8.0, refined=2, max_kl=0.01).fit(sample)
    log_p = posteriors(64, 9)
    levels = np.zeros(64, np.int64)
    levels[[5, 6, 40]] = codec.ladder()[-1]
    encoded = codec.escalate(codec.encode(log_p), log_p, levels)
    unpacked = codec.unpack({name: torch.from_numpy(rows) for name, rows in encoded.items()})
    whole = codec.decode(unpacked, CLASSES)
    torch.testing.assert_close(whole[[5, 6, 40]], log_p[[5, 6, 40]], atol=1e-4, rtol=0)
    picked = select(unpacked, torch.tensor([40, 0, 6]))
    torch.testing.assert_close(codec.decode(picked, CLASSES), whole[[40, 0, 6]], atol=1e-5, rtol=0)
    middle = span(unpacked, 6, 30)
    torch.testing.assert_close(codec.decode(middle, CLASSES), whole[6:30], atol=1e-5, rtol=0)
    assert OVERFLOW_FRAMES not in span(unpacked, 7, 30)


def test_stored_blocks_are_cut_and_joined_with_the_values_of_escalated_frames(sample: list[Tensor]) -> None:
    codec = Parameters(step=8.0, refined=2, max_kl=0.01).fit(sample)
    block = codec.block_frames
    log_p = posteriors(6 * block, 9)
    levels = np.zeros(len(log_p), np.int64)
    levels[[1, block, block + 1, 5 * block]] = codec.ladder()[:1] + codec.ladder()[-1:] * 3
    escalated = codec.escalate(codec.encode(log_p), log_p, levels)
    plain = {name: rows for name, rows in codec.encode(log_p).items() if not name.startswith("overflow")}

    def decoded(arrays: dict[str, NDArray[np.generic]]) -> Tensor:
        return codec.decode(
            codec.unpack({name: torch.from_numpy(rows) for name, rows in arrays.items()}), CLASSES
        )

    whole, without = decoded(escalated), decoded(plain)
    assert not torch.allclose(whole, without)
    cuts = [(escalated, block, 3 * block), (plain, 0, block), (escalated, 5 * block, 6 * block)]
    expected = torch.cat([whole[block : 3 * block], without[:block], whole[5 * block :]])
    torch.testing.assert_close(decoded(join(cuts)), expected, atol=1e-5, rtol=0)
    assert join([(escalated, 2 * block, 4 * block)]).keys() == plain.keys()


def test_the_certificate_is_the_divergence(codec: Transform) -> None:
    """At T = 1, 2, 4, 8 it is computed by squaring: the definition in float64 is the judge."""
    log_p = posteriors(100, 10)
    log_p[3] = -1e4
    log_p[3, 7] = 0.0
    stored = {name: torch.from_numpy(array) for name, array in codec.encode(log_p).items()}
    unpacked = span(codec.unpack(stored), 0, 100)
    found = divergences(codec, unpacked, log_p, CERTIFICATE_TEMPERATURES)
    log_q = codec.decode(unpacked, CLASSES).double()
    for temperature, kl in found.items():
        wanted = kl_divergence(log_soften(log_p.double(), temperature), log_soften(log_q, temperature))
        torch.testing.assert_close(kl.double(), wanted, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), 1e-9])
def test_bounds_that_make_no_sense_are_refused(wrong: float) -> None:
    with pytest.raises(InvalidInputError, match="max_mean_kl"):
        Fidelity(wrong)
    with pytest.raises(InvalidInputError, match="max_kl"):
        replace(Fidelity(), max_kl=wrong)


def test_what_cannot_be_kept_is_not_promised(sample: list[Tensor]) -> None:
    """A class ruled out in some frames only: its log p would need steps finer than a byte reaches."""
    masked = [utterance.clone() for utterance in sample]
    for utterance in masked:
        utterance[::3, 5:50] = -1e4
    with pytest.raises(InvalidInputError, match="cannot keep a mean KL"):
        Fidelity(0.01).fit(masked)


@pytest.mark.parametrize("classes", [2, 3, 5, 40])
def test_few_frames_of_few_classes_keep_what_is_asked(classes: int) -> None:
    log_p = posteriors(40, 3, classes)
    codec = Fidelity(0.01).fit([log_p])
    kl = measure(codec, codec.encode(log_p), log_p, CERTIFICATE_TEMPERATURES).kl
    assert max(float(values.mean()) for values in kl.values()) <= 0.01


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="sample"):
        Fidelity().fit([])


@pytest.mark.parametrize(("classes", "refined"), [(2008, 8), (1887, 8), (70, 8), (70, 9), (12, 12)])
def test_the_classes_corrected_are_those_that_count_most(classes: int, refined: int) -> None:
    generator = torch.Generator().manual_seed(3)
    errors = torch.randn(50, classes, generator=generator)
    root = torch.rand(50, classes, generator=generator)
    p = root**2
    losses = errors**2 * (p + root / (4 * root.sum(dim=-1, keepdim=True)))
    found, steps = refinement.heaviest(p, root, errors, refined, 0.25)
    torch.testing.assert_close(losses.gather(-1, found).sort().values, losses.topk(refined).values.flip(-1))
    torch.testing.assert_close(steps, (errors.gather(-1, found) / 0.25).round())
