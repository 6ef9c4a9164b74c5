"""How good a corpus is to learn from: its senones' frames, how well it is aligned, what was left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softstore.corpus import Corpus
from trainer.alignment import SILENCE
from trainer.corpora.build import TREE_SPLIT
from trainer.corpora.source import LOG_LIKELIHOOD, Rejected

QUARTERS = (0, 25, 50, 75, 100)


@dataclass(frozen=True, slots=True)
class SenoneUse:
    """How many frames there are to learn each senone from.

    Attributes:
        wanted: how many were asked for.
        tied: how many the corpus has.
        trained: how many of those have frames in the train split.
        least, lower_quartile, median, upper_quartile, most: training frames of a senone.
    """

    wanted: int
    tied: int
    trained: int
    least: float
    lower_quartile: float
    median: float
    upper_quartile: float
    most: float


@dataclass(frozen=True, slots=True)
class AlignmentQuality:
    """How well frames go with their labels; None is what cannot be told.

    Attributes:
        log_likelihood: mean per frame, in nats, under the models the alignment was made with.
        worst_log_likelihood, worst_utterance: the utterance whose mean is least.
        silence_share: the share of all frames that are labelled as silence.
    """

    log_likelihood: float | None
    worst_log_likelihood: float | None
    worst_utterance: str | None
    silence_share: float | None


@dataclass(frozen=True, slots=True)
class CorpusSummary:
    """What `summarise` found.

    Attributes:
        left_out: what could not be used, by kind of reason, the most frequent first.
    """

    senones: SenoneUse
    alignment: AlignmentQuality
    left_out: dict[str, list[Rejected]]


def summarise(corpus: Corpus) -> CorpusSummary:
    """Read all labels and sum up; raises as `softstore.Corpus.scan`."""
    training = np.zeros(corpus.class_count, np.int64)
    others = np.zeros_like(training)
    for utterance in corpus.scan():
        counted = np.bincount(utterance.labels(), minlength=corpus.class_count)
        if utterance.split == TREE_SPLIT:
            training += counted
        else:
            others += counted
    described = corpus.attributes.corpus
    senones = SenoneUse(
        int(described.get("senones_wanted", corpus.class_count)),
        corpus.class_count,
        int(np.count_nonzero(training)),
        *(float(frames) for frames in np.percentile(training, QUARTERS)),
    )
    left_out: dict[str, list[Rejected]] = {}
    for entry in described.get("rejected", []):
        rejected = Rejected(entry["utterance_id"], entry["reason"])
        left_out.setdefault(rejected.kind, []).append(rejected)
    most_first = sorted(left_out.items(), key=lambda kind: -len(kind[1]))
    return CorpusSummary(senones, _quality(corpus, training + others), dict(most_first))


def _quality(corpus: Corpus, frames: NDArray[np.int64]) -> AlignmentQuality:
    table = corpus.manifest.table
    mean = worst = worst_utterance = None
    if LOG_LIKELIHOOD in table.column_names and pa.types.is_floating(table.schema.field(LOG_LIKELIHOOD).type):
        known = np.asarray(table[LOG_LIKELIHOOD], dtype=np.float64)
        there = np.flatnonzero(np.isfinite(known))
        if len(there):
            lengths = np.asarray(table["num_frames"], dtype=np.float64)
            mean = float(np.average(known[there], weights=lengths[there]))
            lowest = int(there[known[there].argmin()])
            worst, worst_utterance = float(known[lowest]), str(table["utterance_id"][lowest])
    return AlignmentQuality(mean, worst, worst_utterance, _silence_share(corpus, frames))


def _silence_share(corpus: Corpus, frames: NDArray[np.int64]) -> float | None:
    """By the names of senones, which begin with their phone; None where classes have no such names."""
    names = corpus.attributes.class_names
    silent = np.array([name.partition("[")[0] == SILENCE for name in names])
    if len(silent) != len(frames) or not silent.any() or not frames.sum():
        return None
    return float(frames[silent].sum() / frames.sum())
