"""Speech → 40 log-mel filter-bank energies every 10 ms, as Kaldi computes them."""

from __future__ import annotations

import kaldi_native_fbank
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
FRAME_LENGTH_MS = 25.0
FRAME_SHIFT_MS = 10.0
DIMENSIONS = 40


def fbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel filter-bank features without dither, edges not padded (``snip_edges``).

    Args:
        samples: shape (samples,), float32 at 16 kHz, full scale = ±32768 as in Kaldi.

    Returns:
        Shape (frames, 40), float32, natural logarithm; frame t covers samples
        160 t … 160 t + 400, so frames = 1 + (samples - 400) // 160.
    """
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.frame_length_ms = FRAME_LENGTH_MS
    options.frame_opts.frame_shift_ms = FRAME_SHIFT_MS
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = DIMENSIONS
    computer = kaldi_native_fbank.OnlineFbank(options)
    computer.accept_waveform(SAMPLE_RATE, samples)
    computer.input_finished()
    frames = [computer.get_frame(index) for index in range(computer.num_frames_ready)]
    return (
        np.stack(frames).astype(np.float32, copy=False) if frames else np.zeros((0, DIMENSIONS), np.float32)
    )
