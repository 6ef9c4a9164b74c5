"""A teacher over a corpus."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from softstore.corpus import Corpus
from softstore.encoding import normalise
from softstore.teacher import Teacher
from softstore.utterance import Utterance


@dataclass(frozen=True, slots=True)
class Inference:
    """What a teacher says about the utterances of a corpus: `softstore.posteriors.Posteriors`."""

    collection: Corpus
    teacher: Teacher

    def log_posteriors(self, utterance: Utterance) -> Tensor:
        """The teacher's log p at T = 1, checked and normalised: shape (frames, classes), float32.

        Raises:
            InvalidInputError: it cannot be used.
        """
        features = utterance.features()
        with torch.inference_mode():
            found = self.teacher.log_posteriors(torch.from_numpy(features))
            return normalise(found, len(features), self.teacher.class_count, utterance.utterance_id)
