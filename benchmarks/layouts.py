"""How others store a teacher's outputs, re-created from what they published.

Each layout is one utterance's log-posteriors → the bytes its authors would put on disk → log p at any T by
its own rule. Where a description leaves something open, the choice that favours the layout is taken and said.
Of top-k layouts, what is missing is spread evenly over the classes that are missing, at T = 1, and softened
with the rest: none of their authors stores anything else about it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import kaldiio
import lilcom
import numpy as np
import torch
from numcodecs.zstd import Zstd
from numpy.typing import NDArray
from torch import Tensor

from softstore.softening import log_soften

ZSTD_LEVEL = 3
SMALLEST_FLOAT16 = 2.0**-24


class Layout(Protocol):
    """One published way to store posteriors.

    Attributes:
        family: of layouts that differ in size only.
        kept: how many classes of each frame; 0: all.
    """

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def kept(self) -> int: ...

    def encode(self, log_posteriors: Tensor) -> bytes:
        """One utterance, (frames, classes), float32, as on disk."""
        ...

    def decode(self, data: bytes, class_count: int, temperature: float) -> Tensor:
        """log p_T, (frames, classes), float32, normalised."""
        ...


@dataclass(frozen=True, slots=True)
class Megatron:
    """Megatron-LM's offline distillation: the k largest log-probabilities as fp16, and 17-bit ids.

    After ``megatron/training/distillation/logits_saver.py`` (NVIDIA/Megatron-LM, pull request 5019): values
    as fp16, the ids' low 16 bits as uint16, their 17th bit as a bool of its own, zstd level 3 over all of it;
    here without the headers of ``torch.save`` and tar. The loss (``cached_logits_loss.py``, "ghost token")
    takes what is missing to be one minus the sum of what is there, and at least 1e-8.
    """

    k: int
    family: ClassVar[str] = "Megatron"

    @property
    def name(self) -> str:
        return f"Megatron top-{self.k}, fp16"

    @property
    def kept(self) -> int:
        return self.k

    def encode(self, log_posteriors: Tensor) -> bytes:
        values, ids = log_posteriors.topk(self.k, dim=-1)
        low = ids.numpy().astype("<u2")
        high = (ids.numpy() >> 16).astype(np.uint8)
        packed = values.numpy().astype("<f2").tobytes() + low.tobytes() + high.tobytes()
        return bytes(Zstd(ZSTD_LEVEL).encode(packed))

    def decode(self, data: bytes, class_count: int, temperature: float) -> Tensor:
        packed = np.frombuffer(Zstd().decode(data), np.uint8)
        values, low, high = np.split(packed, [len(packed) // 5 * 2, len(packed) // 5 * 4])
        ids = low.view("<u2").reshape(-1, self.k).astype(np.int64) | (
            high.reshape(-1, self.k).astype(np.int64) << 16
        )
        return _spread(_floats(values, self.k), ids, class_count, temperature, least=1e-8)


@dataclass(frozen=True, slots=True)
class FloatProbabilities:
    """The k largest probabilities as fp16, and 16-bit ids; no entropy coder.

    k = 100 is TinyViT (Wu et al. 2022): ``TinyViT/save_logits.py`` in microsoft/Cream writes int16 ids and
    fp16 probabilities, ``main.py`` spreads one minus their sum over the other classes; the 4 bytes of its
    augmentation seed are left out. k = 5 is the marginal smoothing of FKD (Shen & Xing 2022): label type
    ``marginal_smoothing_k5`` in szq0214/FKD with ``--use_fp16``, which spreads in the same way.
    Probabilities that fp16 rounds to 0 would make the divergence infinite, and are read as the smallest
    number it holds; what is missing is at least 1e-8.
    """

    name: str
    k: int
    family: str

    @property
    def kept(self) -> int:
        return self.k

    def encode(self, log_posteriors: Tensor) -> bytes:
        values, ids = log_posteriors.exp().topk(self.k, dim=-1)
        return ids.numpy().astype("<i2").tobytes() + values.numpy().astype("<f2").tobytes()

    def decode(self, data: bytes, class_count: int, temperature: float) -> Tensor:
        ids, values = np.split(np.frombuffer(data, np.uint8), 2)
        probabilities = _floats(values, self.k).clamp_min(SMALLEST_FLOAT16)
        classes = ids.view("<u2").reshape(-1, self.k).astype(np.int64)
        return _spread(probabilities.log(), classes, class_count, temperature, least=1e-8)


@dataclass(frozen=True, slots=True)
class DistillKit:
    """Arcee's DistillKit: k classes, a few log-probabilities as bf16, the others as a curve over their ranks.

    After its README ("Logit Compression", the configurations called recommended and budget pick) and
    ``distillkit/compression/config.py``, which counts the bits: ``exact`` values of bfloat16, coefficients of
    float32, ids packed in ⌈log₂ classes⌉ bits. What is missing is spread as in ``densify.py``, at least 1e-8
    a class. How the curve is fitted is not described: least squares in float64, ranks scaled to [0, 1].
    """

    name: str
    k: int
    exact: int
    powers: Sequence[float]
    family: ClassVar[str] = "DistillKit"

    @property
    def kept(self) -> int:
        return self.k

    def encode(self, log_posteriors: Tensor) -> bytes:
        values, ids = log_posteriors.topk(self.k, dim=-1)
        exact = values[:, : self.exact].to(torch.bfloat16).view(torch.uint8).numpy()
        fit = np.linalg.pinv(self._curve()).T
        coefficients = (values[:, self.exact :].numpy() @ fit).astype("<f4")
        bits = _id_bits(log_posteriors.shape[1])
        places = np.unpackbits(ids.numpy().astype(">u2").view(np.uint8), axis=1).reshape(-1, self.k, 16)
        packed_ids = np.packbits(places[:, :, 16 - bits :].reshape(len(ids), -1), axis=1)
        return np.concatenate([exact, coefficients.view(np.uint8), packed_ids], axis=1).tobytes()

    def decode(self, data: bytes, class_count: int, temperature: float) -> Tensor:
        bits = _id_bits(class_count)
        widths = (2 * self.exact, 4 * len(self.powers), (self.k * bits + 7) // 8)
        rows = np.frombuffer(data, np.uint8).reshape(-1, sum(widths))
        exact, coefficients, packed_ids = np.split(rows, np.cumsum(widths[:2]), axis=1)
        places = np.unpackbits(packed_ids, axis=1, count=self.k * bits).reshape(-1, self.k, bits)
        ids = places @ (1 << np.arange(bits)[::-1])
        head = torch.from_numpy(exact.copy()).view(torch.bfloat16).float()
        curve = np.ascontiguousarray(coefficients).view("<f4") @ self._curve().T
        values = torch.cat([head, torch.from_numpy(curve).float()], dim=-1)
        return _spread(values, ids, class_count, temperature, least=1e-8 * (class_count - self.k))

    def _curve(self) -> NDArray[np.float64]:
        """Each power of the scaled rank, (k - exact, powers)."""
        rank = np.linspace(0, 1, self.k - self.exact)
        return np.power(rank[:, None], np.array(self.powers, np.float64))


@dataclass(frozen=True, slots=True)
class Kaldi:
    """A Kaldi archive of compressed matrices, written and read by PyPI's kaldiio.

    ``method`` is Kaldi's: 2 is one byte an element between quartiles of its column (what ``--compress=true``
    gives), 5 one byte and 3 two bytes, evenly between the smallest and largest element of the matrix.
    """

    name: str
    method: int
    family: ClassVar[str] = "Kaldi"
    kept: ClassVar[int] = 0

    def encode(self, log_posteriors: Tensor) -> bytes:
        archive = _Archive()
        kaldiio.save_ark(archive, {"u": log_posteriors.numpy()}, compression_method=self.method)
        return archive.getvalue()

    def decode(self, data: bytes, class_count: int, temperature: float) -> Tensor:
        _, matrix = next(kaldiio.load_ark(io.BytesIO(data)))
        return log_soften(torch.from_numpy(np.array(matrix, np.float32)), temperature)


@dataclass(frozen=True, slots=True)
class Lilcom:
    """lilcom, which Lhotse keeps feature matrices in: multiples of 2^tick_power, predicted and entropy coded.

    -8 is lilcom's own default, -5 Lhotse's.
    """

    tick_power: int
    family: ClassVar[str] = "lilcom"
    kept: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"lilcom, steps of 2^{self.tick_power}"

    def encode(self, log_posteriors: Tensor) -> bytes:
        # lilcom writes what it will decode over its input.
        data: bytes = lilcom.compress(log_posteriors.numpy().copy(), tick_power=self.tick_power)
        return data

    def decode(self, data: bytes, class_count: int, temperature: float) -> Tensor:
        return log_soften(torch.from_numpy(lilcom.decompress(data)), temperature)


@dataclass(frozen=True, slots=True)
class Compressed:
    """A layout without an entropy coder, put through zstd: what its authors could have had for little."""

    layout: Layout

    @property
    def name(self) -> str:
        return f"{self.layout.name} + zstd"

    @property
    def family(self) -> str:
        return f"{self.layout.family} + zstd"

    @property
    def kept(self) -> int:
        return self.layout.kept

    def encode(self, log_posteriors: Tensor) -> bytes:
        return bytes(Zstd(ZSTD_LEVEL).encode(self.layout.encode(log_posteriors)))

    def decode(self, data: bytes, class_count: int, temperature: float) -> Tensor:
        return self.layout.decode(bytes(Zstd().decode(data)), class_count, temperature)


_WITHOUT_ENTROPY_CODER: tuple[Layout, ...] = (
    FloatProbabilities("FKD top-5, fp16", 5, "FKD"),
    FloatProbabilities("TinyViT top-100, fp16", 100, "TinyViT"),
    DistillKit("DistillKit, budget", 50, 1, (0, 1, 0.5)),
    DistillKit("DistillKit, recommended", 128, 16, (0, 1, 2, 3, 4, 0.5)),
    Kaldi("Kaldi, one byte by quartile", 2),
    Kaldi("Kaldi, one byte", 5),
    Kaldi("Kaldi, two bytes", 3),
)

LAYOUTS: tuple[Layout, ...] = (
    Megatron(128),
    *(layout for plain in _WITHOUT_ENTROPY_CODER for layout in (plain, Compressed(plain))),
    Lilcom(-2),
    Lilcom(-5),
    Lilcom(-8),
)


def _spread(
    values: Tensor, ids: NDArray[np.int64], class_count: int, temperature: float, least: float
) -> Tensor:
    """log p_T from log p of some classes; the others share what is missing to 1, but ``least``, evenly."""
    missing = (1.0 - values.exp().sum(dim=-1, keepdim=True)).clamp_min(least)
    each = missing.log() - math.log(class_count - values.shape[1])
    dense = each.expand(-1, class_count).scatter(-1, torch.from_numpy(ids), values)
    return log_soften(dense, temperature)


def _floats(data: NDArray[np.uint8], width: int) -> Tensor:
    """float16 values in rows, as float32."""
    return torch.from_numpy(data.view("<f2").reshape(-1, width).astype(np.float32))


def _id_bits(class_count: int) -> int:
    return math.ceil(math.log2(class_count))


class _Archive(io.BytesIO):
    """A file that stays open when kaldiio has written it."""

    def close(self) -> None:
        pass
