"""How well a model does on whole utterances: frame accuracy, cross entropy, calibration, divergence from its
teacher; altogether and for every value of manifest columns.

Only sums are kept, so that memory does not grow with the store, and outputs that come late are taken as of
the frames they belong to.
"""

from trainer.evaluation.blocks import Block, blocks, check_fits
from trainer.evaluation.scores import KL_TEMPERATURES, Bin, Scores
from trainer.evaluation.scoring import Evaluation, evaluate
from trainer.evaluation.validation import validate

__all__ = [
    "KL_TEMPERATURES",
    "Bin",
    "Block",
    "Evaluation",
    "Scores",
    "blocks",
    "check_fits",
    "evaluate",
    "validate",
]
