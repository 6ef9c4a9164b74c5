"""What models take from the training data before they learn: normalisation or LDA, and the senones' prior."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from trainer.examples import Example, Examples
from trainer.lda import LDA
from trainer.models import DNN, AcousticModel
from trainer.models.dnn import splice

LDA_FRAMES = 200_000
"""LDA is estimated on about so many frames."""


def prepare(model: AcousticModel, sources: Sequence[Examples]) -> None:
    """Set a model's buffers from the split ``train`` of all stores, in one pass: a `DNN`'s transform, or the
    features' mean and scale of any other; and the prior."""
    every = (example for examples in sources for example in examples.in_order("train"))
    if isinstance(model, DNN):
        frames = sum(examples.num_frames("train") for examples in sources)
        _set_transform(model, every, max(frames // LDA_FRAMES, 1))
    else:
        _set_normalisation(model, every)


def _set_normalisation(model: AcousticModel, examples: Iterator[Example]) -> None:
    total = torch.zeros(2, model.input_dim, dtype=torch.float64)
    counts = torch.zeros(model.class_count, dtype=torch.int64)
    for example in examples:
        exact = example.features.double()
        total += torch.stack([exact.sum(dim=0), exact.square().sum(dim=0)])
        counts += _counted(example.labels, counts)
    mean, square = total / int(counts.sum())
    model.get_buffer("mean").copy_(mean)
    model.get_buffer("scale").copy_((square - mean.square()).clamp_min(1e-8).rsqrt())
    model.set_prior(counts)


def _set_transform(model: DNN, examples: Iterator[Example], nth: int) -> None:
    """LDA of every ``nth`` utterance."""
    lda = LDA(model.config.spliced_dim, model.class_count)
    counts = torch.zeros(model.class_count, dtype=torch.int64)
    for number, example in enumerate(examples):
        counts += _counted(example.labels, counts)
        if number % nth == 0:
            lda.add(splice(example.features, model.config.context), example.labels)
    transform, offset = lda.solve(model.config.transform_dim)
    model.transform.copy_(transform)
    model.offset.copy_(offset)
    model.set_prior(counts)


def _counted(labels: Tensor, counts: Tensor) -> Tensor:
    return torch.bincount(labels, minlength=len(counts))
