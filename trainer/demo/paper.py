"""Table 1 of Tang, Wang & Zhang 2015, on Aurora4: frame accuracies and word error rate, in per cent."""

from __future__ import annotations

from typing import NamedTuple


class PaperRow(NamedTuple):
    """One row of the paper's table."""

    fa_train: float
    fa_cv: float
    wer: float


TABLE_1 = {
    "DNN": PaperRow(63.0, 45.2, 11.40),
    "RNN-0": PaperRow(67.3, 51.9, 13.57),
    "RNN-T1 (soft)": PaperRow(59.4, 49.9, 11.46),
    "RNN-T1 (reg.)": PaperRow(67.5, 53.7, 10.84),
    "RNN-T1 (pretrain)": PaperRow(65.5, 54.2, 10.71),
    "RNN-T2 (soft)": PaperRow(58.2, 49.5, 11.32),
    "RNN-T2 (reg.)": PaperRow(65.8, 53.3, 10.88),
    "RNN-T2 (pretrain)": PaperRow(64.6, 54.1, 10.57),
}
