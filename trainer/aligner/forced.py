"""Align transcribed speech with its phones, and tell which utterances cannot be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from trainer.aligner.features import cepstra, normalised
from trainer.aligner.training import Stage, monophones, triphones
from trainer.aligner.transcript import Lexicon, PhoneGraph, phone_graph, shortest_reading
from trainer.aligner.viterbi import Path
from trainer.alignment import SILENCE, STATES, Alignment
from trainer.corpora.source import Rejected

OUTLIER = 6.0
"""Robust standard deviations below the corpus at which a transcript is held not to fit its audio. On an4 the
worst true transcript lies at 5.1, transcripts swapped between utterances at 6.8 to 33."""

LEAST_SPREAD = 0.25
"""Least robust standard deviation, in nats per frame: very even corpora have no outliers by chance."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Transcribed:
    """What the aligner needs of an utterance.

    Attributes:
        text: words of the lexicon, separated by spaces.
        features: shape (frames, bands), float32: log-mel energies.
    """

    utterance_id: str
    speaker: str
    text: str
    features: Floats


@dataclass(frozen=True, slots=True)
class AlignedCorpus:
    """What became of every utterance, and how well it went.

    Attributes:
        outcomes: an alignment or the reason for there being none, in the order of the utterances.
        log_likelihoods: mean per frame of each utterance under the triphone model, in nats, in that order;
            NaN where there is no alignment.
        log_likelihood: the same of all aligned utterances together.
        silence_share: the share of their frames aligned to silence.
        tied_states: how many tied triphone states the aligner's own model has.
    """

    outcomes: list[Alignment | Rejected]
    log_likelihoods: list[float]
    log_likelihood: float
    silence_share: float
    tied_states: int


def align(utterances: Sequence[Transcribed], lexicon: Lexicon, workers: int = 1) -> AlignedCorpus:
    """Train a GMM-HMM on these utterances from a flat start and align them with it.

    Monophones, then tied triphones; silence is optional around every word, pronunciations compete.

    An utterance is rejected if it has no words or one that the lexicon lacks; if it has fewer frames than its
    shortest reading has states; or if its transcript does not fit its audio: its monophone path loses
    likelihood against the best phone state of each single frame, and an utterance that loses so much per
    frame that it lies more than `OUTLIER` robust standard deviations below the corpus does not fit.

    Args:
        lexicon: word → pronunciations, each a tuple of phones.
        workers: threads, one batch of utterances each (BLAS is held to one thread meanwhile: its own threads
            are slower on products this small); the result does not depend on them.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        return _align(utterances, lexicon, workers)


def _align(utterances: Sequence[Transcribed], lexicon: Lexicon, workers: int) -> AlignedCorpus:
    outcomes: dict[int, Alignment | Rejected] = {}
    graphs: dict[int, PhoneGraph] = {}
    for index, utterance in enumerate(utterances):
        reason = _unusable(utterance, lexicon)
        if reason:
            outcomes[index] = Rejected(utterance.utterance_id, reason)
        else:
            graphs[index] = phone_graph(utterance.text.split(), lexicon)

    log_likelihoods = [math.nan] * len(utterances)
    log_likelihood = silence_share = 0.0
    tied_states = 0
    if graphs:
        features = _normalised_by_speaker(utterances, list(graphs))
        first = monophones([features[i] for i in graphs], list(graphs.values()), workers)
        paths = first.paths()
        alignments = dict(zip(graphs, first.alignments(paths), strict=True))
        for index, reason in zip(list(graphs), _misfits(first, paths), strict=True):
            if reason:
                outcomes[index] = Rejected(utterances[index].utterance_id, reason)
                del graphs[index], alignments[index]

        kept = [features[i] for i in graphs]
        second = triphones(kept, list(graphs.values()), list(alignments.values()), workers)
        paths = second.paths()
        final = second.alignments(paths)
        outcomes.update(zip(graphs, final, strict=True))
        frames = sum(map(len, kept))
        for index, path, own in zip(graphs, paths, kept, strict=True):
            log_likelihoods[index] = float(path.log_likelihood / len(own))
        log_likelihood = sum(path.log_likelihood for path in paths) / frames
        silence_share = sum(_silent_frames(alignment) for alignment in final) / frames
        tied_states = second.model.distributions
    return AlignedCorpus(
        [outcomes[index] for index in range(len(utterances))],
        log_likelihoods,
        log_likelihood,
        silence_share,
        tied_states,
    )


def _unusable(utterance: Transcribed, lexicon: Lexicon) -> str | None:
    words = utterance.text.split()
    if not words:
        return "the transcript has no words"
    unknown = sorted({word for word in words if not lexicon.get(word)})
    if unknown:
        return f"not in the dictionary: {', '.join(unknown)}"
    least = STATES * shortest_reading(words, lexicon)
    if len(utterance.features) < least:
        return f"too short: {len(utterance.features)} frames, but its transcript needs at least {least}"
    return None


def _normalised_by_speaker(utterances: Sequence[Transcribed], chosen: Sequence[int]) -> dict[int, Floats]:
    by_speaker: dict[str, list[int]] = {}
    for index in chosen:
        by_speaker.setdefault(utterances[index].speaker, []).append(index)
    result: dict[int, Floats] = {}
    for indices in by_speaker.values():
        own = normalised([cepstra(utterances[index].features) for index in indices])
        result.update(zip(indices, own, strict=True))
    return result


def _misfits(stage: Stage, paths: Sequence[Path]) -> list[str | None]:
    """For every utterance whose transcript does not fit its audio, the reason to reject it."""
    everything = np.arange(stage.model.distributions, dtype=np.int32)
    fits = np.array(
        [
            path.log_likelihood / len(frames)
            - stage.model.log_likelihoods(frames, everything).max(axis=1).mean()
            for path, frames in zip(paths, stage.features, strict=True)
        ]
    )
    median = float(np.median(fits))
    spread = max(1.4826 * float(np.median(np.abs(fits - median))), LEAST_SPREAD)
    return [
        f"the audio does not fit its transcript: {-fit:.1f} nats per frame worse than the best phones, "
        f"{-median:.1f} in the middle of the corpus"
        if fit < median - OUTLIER * spread
        else None
        for fit in fits.tolist()
    ]


def _silent_frames(alignment: Alignment) -> int:
    silent = np.array([phone == SILENCE for phone in alignment.phones])
    return int(silent[alignment.frame_states // STATES].sum())
