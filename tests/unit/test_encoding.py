"""What is measured while encoding is what decoding the stored arrays gives back, whatever the codec."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor

from softstore.certificate import measure
from softstore.codecs import Codec, Float16, Float32, Parameters, TopK, Transform, UInt8
from softstore.encoding import EncodedUtterance, encode_utterance
from softstore.scratch import scratch
from softstore.softening import CERTIFICATE_TEMPERATURES, entropy, kl_divergence, log_soften

CLASSES = 700


def posteriors(frames: int, seed: int) -> Tensor:
    """Normalised log p; some frames rule classes out, some are nearly sure of one."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(12, CLASSES, generator=torch.Generator().manual_seed(1))
    logits = 2 * torch.randn(frames, 12, generator=generator) @ directions
    logits += 0.3 * torch.randn(frames, CLASSES, generator=generator)
    logits[5, 3] += 60
    logits[7, 10:500] = -1e4
    return torch.log_softmax(logits, dim=-1).clamp_min(-1e4)


def transform(refined: int, max_kl: float | None) -> Transform:
    return Parameters(step=1.0, refined=refined, max_kl=max_kl).fit([posteriors(500, 2)])


CODECS: dict[str, Codec] = {
    "float32": Float32(),
    "float16": Float16(),
    "uint8": UInt8(),
    "topk": TopK(k=20),
    "transform": transform(8, None),
    "transform without corrections": transform(0, None),
    "transform with a bound": transform(4, 0.002),
}


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> Codec:
    return CODECS[request.param]


def encoded(codec: Codec, log_p: Tensor) -> EncodedUtterance:
    return encode_utterance(codec, log_p, CERTIFICATE_TEMPERATURES, {"num_frames": len(log_p)}, {})


def arrays(utterance: EncodedUtterance) -> dict[str, np.ndarray]:
    return {name.removeprefix("targets/"): rows for name, rows in utterance.tracks.items()}


@pytest.mark.parametrize("frames", [1, 13, 800])
def test_it_is_the_divergence_of_what_decodes(codec: Codec, frames: int) -> None:
    """By the definition, in float64, from the stored arrays; logits of thousands have but so many digits."""
    log_p = posteriors(max(frames, 13), 3)[:frames]
    utterance = encoded(codec, log_p)
    unpacked = codec.unpack({name: torch.from_numpy(rows) for name, rows in arrays(utterance).items()})
    for temperature in CERTIFICATE_TEMPERATURES:
        log_q = codec.decode(unpacked, CLASSES, temperature)[:frames].double()
        kl = kl_divergence(log_soften(log_p.double(), temperature), torch.log_softmax(log_q, dim=-1))
        assert utterance.row[f"mean_kl_t{temperature:g}"] == pytest.approx(float(kl.mean()), 1e-3, 1e-6)
        assert utterance.row[f"max_kl_t{temperature:g}"] == pytest.approx(float(kl.max()), 1e-3, 1e-6)
    assert utterance.row["entropy"] == pytest.approx(float(entropy(log_p.double()).mean()), 1e-5, 1e-6)


def test_it_is_measured_as_it_is_afterwards(codec: Codec) -> None:
    """Frame by frame: the histograms of all frames agree but for those on an edge."""
    log_p = posteriors(800, 4)
    utterance = encoded(codec, log_p)
    afterwards = measure(codec, arrays(utterance), log_p, CERTIFICATE_TEMPERATURES).histogram()
    for temperature, counts in utterance.kl_histogram.items():
        # Below 1e-6 nats there is nothing but rounding.
        found, wanted = (np.array(c)[31:] for c in (counts, afterwards[temperature]))
        assert np.abs(np.cumsum(found) - np.cumsum(wanted)).max() <= 4


def test_the_bytes_depend_on_nothing_but_the_utterance(codec: Codec) -> None:
    """Not on what the thread encoded before, nor on what others encode meanwhile."""
    utterances = [posteriors(frames, frames) for frames in (300, 20, 517)]
    alone = [arrays(encoded(codec, log_p)) for log_p in utterances]
    together: dict[int, list[dict[str, np.ndarray]]] = {}

    def encode(thread: int) -> None:
        with torch.inference_mode(thread == 0):
            together[thread] = [arrays(encoded(codec, log_p)) for log_p in utterances[::-1]][::-1]

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in (together[0], together[1]):
        for left, right in zip(found, alone, strict=True):
            assert left.keys() == right.keys()
            for name, rows in left.items():
                np.testing.assert_array_equal(rows, right[name])


def test_the_teachers_posteriors_stay_as_they_are(codec: Codec) -> None:
    log_p = posteriors(50, 6)
    before = log_p.clone()
    encoded(codec, log_p)
    torch.testing.assert_close(log_p, before, atol=0, rtol=0)


def test_scratch_is_used_again_by_its_thread_only() -> None:
    like = torch.zeros(3, 4)
    mine = scratch("x", like)
    assert mine.shape == like.shape
    assert scratch("x", torch.zeros(2, 3)).data_ptr() == mine.data_ptr()
    assert scratch("y", like).data_ptr() != mine.data_ptr()
    assert scratch("x", like.double()).dtype == torch.float64
    theirs: list[Tensor] = []
    thread = threading.Thread(target=lambda: theirs.append(scratch("x", like)))
    thread.start()
    thread.join()
    assert theirs[0].data_ptr() != mine.data_ptr()
