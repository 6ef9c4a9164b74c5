"""Phone times of the synthesiser → an `Alignment` of feature frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.alignment import SILENCE, STATES, Alignment
from trainer.corpora.fbank import FRAME_LENGTH_MS, FRAME_SHIFT_MS, SAMPLE_RATE
from trainer.corpora.synthetic.espeak import Speech
from trainer.corpora.synthetic.phones import phone


@dataclass(frozen=True, slots=True)
class Segments:
    """Phones one after the other.

    Attributes:
        starts: shape (phones,), int64, non-decreasing: the sample at which each phone starts;
            it lasts until the next one starts, the last one until the end.
    """

    phones: tuple[str, ...]
    starts: NDArray[np.int64]


def segments(speech: Speech, accent: str) -> Segments:
    """The phones of what was said, in samples of the synthesiser, beginning and ending with silence.

    The synthesiser tells when it starts each phone, with two particularities, put right here. The closure of
    a stop is exact digital silence before the stop's own start: it is given to the stop (after a pause it is
    part of the pause). An l after a vowel is spoken as the end of that vowel and is said to last no time: it
    is given the last third of the vowel.

    Raises:
        UnknownPhonemeError: espeak-ng used a phoneme that has no phone.
    """
    phones = [SILENCE, *(phone(name, accent) for name in speech.phonemes), SILENCE]
    starts = [0, *speech.starts, len(speech.samples)]
    for position in range(1, len(phones)):
        if SILENCE not in phones[position - 1 : position + 1]:
            begin, end = starts[position - 1], starts[position]
            audible = np.flatnonzero(speech.samples[begin:end])
            starts[position] = begin + int(audible[-1]) + 1 if audible.size else begin
    for position in range(1, len(phones) - 1):
        lasts_no_time = starts[position] == starts[position + 1]
        if lasts_no_time and SILENCE not in phones[position - 1 : position + 1]:
            starts[position] -= (starts[position] - starts[position - 1]) // 3
    runs = [at for at, name in enumerate(phones) if at == 0 or not name == phones[at - 1] == SILENCE]
    return Segments(tuple(phones[at] for at in runs), np.array([starts[at] for at in runs], np.int64))


def align(segments: Segments, frames: int) -> Alignment:
    """The state of every frame.

    A frame belongs to the phone that covers the middle of its window. The frames of a phone are divided
    among its states by thirds of its time, so that states never differ by more than one frame; a phone of
    two frames skips its middle state, a phone of one frame has only that one, and a phone that covers the
    middle of no window is left out.

    Args:
        segments: in samples at `SAMPLE_RATE`, starting at or before the first frame's middle.
        frames: how many frames the features have.
    """
    middles = SAMPLE_RATE / 1000 * (FRAME_SHIFT_MS * np.arange(frames) + FRAME_LENGTH_MS / 2)
    owners = np.searchsorted(segments.starts, middles, side="right") - 1
    used, positions, counts = np.unique(owners, return_inverse=True, return_counts=True)
    within = np.arange(frames) - (np.cumsum(counts) - counts)[positions]
    states = STATES * (2 * within + 1) // (2 * counts[positions])
    return Alignment(
        phones=tuple(segments.phones[owner] for owner in used),
        frame_states=(positions * STATES + states).astype(np.int32),
    )
