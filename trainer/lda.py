"""Linear discriminant analysis: spliced frames → the directions that tell senones apart."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from softstore.errors import InvalidInputError

_FLOOR = 1e-5
"""Of the within-class covariance's mean eigenvalue, added to its diagonal."""


class LDA:
    """Sums over labelled frames, from which the transform is solved."""

    def __init__(self, dim: int, class_count: int) -> None:
        self.counts = torch.zeros(class_count, dtype=torch.float64)
        self.sums = torch.zeros(class_count, dim, dtype=torch.float64)
        self.squares = torch.zeros(dim, dim, dtype=torch.float64)

    def add(self, frames: Tensor, labels: Tensor) -> None:
        """Count in some frames, (frames, dim) float32, with their classes, (frames,) int64."""
        exact = frames.double()
        self.counts += torch.bincount(labels, minlength=len(self.counts))
        self.sums.index_add_(0, labels, exact)
        self.squares += exact.t() @ exact

    def solve(self, output_dim: int) -> tuple[Tensor, Tensor]:
        """The affine transform whose outputs are uncorrelated, have mean 0, and count as much as they tell.

        An output's variance is the share of it that lies between the classes (Kaldi nnet3's preconditioning
        LDA), the
        largest first: directions that tell classes apart little reach the network weakly, and it learns
            less noise.

        Returns:
            (output_dim, dim) and (output_dim,), float32: y = transform · x + offset.

        Raises:
            InvalidInputError: more outputs than inputs are asked for, or there are no frames.
        """
        total = float(self.counts.sum())
        dim = len(self.squares)
        if not total or output_dim > dim:
            raise InvalidInputError(
                f"LDA cannot make {output_dim} dimensions of {dim} from {total:.0f} frames: ask for fewer."
            )
        mean = self.sums.sum(dim=0) / total
        seen = self.counts > 0
        class_means = self.sums[seen] / self.counts[seen, None] - mean
        between = (class_means * self.counts[seen, None]).t() @ class_means / total
        within = self.squares / total - torch.outer(mean, mean) - between
        within += (_FLOOR * float(within.trace()) / dim) * torch.eye(dim, dtype=torch.float64)
        _, vectors = scipy.linalg.eigh(between.numpy(), within.numpy())
        directions = torch.from_numpy(np.ascontiguousarray(vectors[:, ::-1].T))[:output_dim]
        # Variances between and within classes; the latter are 1 by construction.
        telling = torch.einsum("ij,jk,ik->i", directions, between, directions).clamp_min(0)
        transform = directions * (telling.sqrt() / (1 + telling))[:, None]
        return transform.float(), (-transform @ mean).float()
