"""Audio files → samples at 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.corpora.fbank import SAMPLE_RATE

EXTENSIONS = (".wav", ".WAV", ".flac", ".sph", ".raw")


def find_audio(directory: Path, name: str) -> Path | None:
    """The file of that name, a path without extension, in whichever format it is kept."""
    return next((path for e in EXTENSIONS if (path := directory / f"{name}{e}").is_file()), None)


def read_audio(path: Path) -> NDArray[np.float32]:
    """Shape (samples,), float32, full scale = ±32768 as in Kaldi.

    Raises:
        ValueError: it is not 16-bit speech at 16 kHz with one channel.
        OSError, soundfile.LibsndfileError: it cannot be read.
    """
    if path.suffix == ".raw":
        return _read_raw(path)
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    if rate != SAMPLE_RATE or samples.shape[1] != 1:
        raise ValueError(f"{rate} Hz, {samples.shape[1]} channels; {SAMPLE_RATE} Hz mono is expected")
    return np.asarray(samples[:, 0], dtype=np.float32)


def _read_raw(path: Path) -> NDArray[np.float32]:
    """Headerless 16-bit samples. AN4 was published in both byte orders under this name; speech in the wrong
    one is noise, so the order whose samples jump least is the right one."""
    data = path.read_bytes()
    if len(data) % 2:
        raise ValueError("an odd number of bytes; 16-bit samples are expected")
    orders = [np.frombuffer(data, dtype).astype(np.float32) for dtype in (">i2", "<i2")]
    return min(orders, key=lambda samples: float(np.abs(np.diff(samples)).sum()))
