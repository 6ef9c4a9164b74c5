"""Speakers: an accent, a voice variant, and a way of speaking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trainer.corpora.synthetic.espeak import Delivery

ACCENTS = ("en", "en-us", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp")

# Variants with an echo are left out, since their closures and pauses are not silent, and so are robots and
# whispers. No variant is heard in two splits: unseen speakers have unseen voices.
_WOMEN = {
    "train": "Andrea anika aunty belinda grandma shelby steph",
    "cv": "f1 linda",
    "test": "Annie steph2",
}
_MEN = {
    "train": "m1 m3 m5 m7 Alex Denis Diogo ed Gene grandpa Mario max Mike paul quincy Storm",
    "cv": "john m4 rob",
    "test": "m6 m8 Nguyen",
}


@dataclass(frozen=True, slots=True)
class Speaker:
    name: str
    delivery: Delivery

    def deliver(self, random: np.random.Generator) -> Delivery:
        """How the speaker says one sentence: never twice quite the same."""
        return replace(
            self.delivery,
            rate=round(self.delivery.rate * random.uniform(0.94, 1.06)),
            pitch=self.delivery.pitch + int(random.integers(-4, 5)),
        )


def draw_speakers(counts: Mapping[str, int], random: np.random.Generator) -> dict[str, list[Speaker]]:
    """The speakers of each split: women and men in turn, no two alike in both accent and variant."""
    speakers: dict[str, list[Speaker]] = {}
    for split, count in counts.items():
        pools = [
            [(accent, variant) for accent in ACCENTS for variant in variants[split].split()]
            for variants in (_WOMEN, _MEN)
        ]
        for pool in pools:
            random.shuffle(pool)
        speakers[split] = [
            _draw(f"{split}{number:02d}", *pools[number % 2].pop(), random) for number in range(count)
        ]
    return speakers


def _draw(name: str, accent: str, variant: str, random: np.random.Generator) -> Speaker:
    rate, pitch, pitch_range = (int(random.integers(*limits)) for limits in ((145, 181), (35, 66), (30, 71)))
    return Speaker(name, Delivery(accent, variant, rate, pitch, pitch_range))
