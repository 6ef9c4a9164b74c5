"""Who says what in which condition: everything about a corpus that needs no sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.corpora.synthetic.conditions import CONDITIONS, Condition, training_conditions
from trainer.corpora.synthetic.grammar import sentence
from trainer.corpora.synthetic.profiles import SPLITS, Profile
from trainer.corpora.synthetic.speakers import Speaker, draw_speakers


@dataclass(frozen=True, slots=True)
class Recipe:
    """One utterance to be made: `number` identifies its sentence within its split."""

    utterance_id: str
    split: str
    number: int
    speaker: Speaker
    sentence: str
    condition: Condition


def draw_plan(profile: Profile, seed: int) -> list[Recipe]:
    """Every utterance of a corpus, in order; no two speakers ever say the same sentence."""
    random = np.random.default_rng(seed)
    speakers = draw_speakers(profile.speakers, random)
    taken: set[str] = set()
    recipes: list[Recipe] = []
    for split in SPLITS:
        sentences = _new_sentences(profile.sentences[split], taken, random)
        training = training_conditions(len(sentences), random)
        for number, text in enumerate(sentences):
            speaker = speakers[split][number % len(speakers[split])]
            if split == "train":
                conditions = [training[number]]
            elif profile.every_condition:
                conditions = list(CONDITIONS)
            else:
                conditions = [CONDITIONS[number % len(CONDITIONS)]]
            recipes += [
                Recipe(
                    f"{speaker.name}-{number:04d}-{condition.number:02d}",
                    split,
                    number,
                    speaker,
                    text,
                    condition,
                )
                for condition in conditions
            ]
    return recipes


def _new_sentences(count: int, taken: set[str], random: np.random.Generator) -> list[str]:
    sentences: list[str] = []
    while len(sentences) < count:
        text = sentence(random)
        if text not in taken:
            taken.add(text)
            sentences.append(text)
    return sentences
