"""The synthetic corpus as a `Source`: the plan, made by several processes, in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from importlib.metadata import version

from softstore.errors import InvalidInputError, SoftstoreError
from trainer.corpora.source import AlignedUtterance, Rejected
from trainer.corpora.synthetic import espeak
from trainer.corpora.synthetic.grammar import vocabulary
from trainer.corpora.synthetic.lexicon import build_lexicon
from trainer.corpora.synthetic.plan import Recipe, draw_plan
from trainer.corpora.synthetic.profiles import PROFILES
from trainer.corpora.synthetic.studio import make

_CHUNK = 8
_CHUNKS_AHEAD = 3


class SyntheticSource:
    """Synthetic read speech in Aurora4's fourteen conditions; a `trainer.corpora.source.Source`.

    The same profile and seed give the same bits, whatever the number of workers. Extra columns of every
    utterance: ``condition`` (1 to 14), ``noise``, ``microphone`` and ``snr_db`` (NaN for clean speech).

    Args:
        profile: a key of `PROFILES`: ``tiny``, ``mini``, ``small`` or ``aurora4``.
        seed: 0 or more; another seed is another corpus: other speakers, sentences and noises.

    Raises:
        InvalidInputError: no such profile, or a negative seed.
        MissingDependencyError: espeak-ng is not installed.
    """

    def __init__(self, profile: str = "mini", seed: int = 0) -> None:
        if profile not in PROFILES:
            raise InvalidInputError(
                f"No synthetic profile is called {profile!r}: choose {', '.join(PROFILES)}."
            )
        if seed < 0:
            raise InvalidInputError(
                f"The seed of a synthetic corpus is {seed}: give a number from 0 upwards."
            )
        espeak.require()
        self._profile = profile
        self._seed = seed
        self._recipes = draw_plan(PROFILES[profile], seed)

    @cached_property
    def description(self) -> Mapping[str, object]:
        """What the corpus is and what made it, for the record."""
        speakers = {recipe.speaker.name: recipe.speaker.delivery for recipe in self._recipes}
        return {
            "name": f"synthetic-{self._profile}",
            "profile": self._profile,
            "seed": self._seed,
            "made_with": {
                package: version(package)
                for package in ("espeakng-loader", "numpy", "scipy", "kaldi-native-fbank")
            },
            "licence": "spoken by espeak-ng (GPL-3.0-or-later); sentences and noises are softstore's own",
            "vocabulary": len(vocabulary()),
            "utterances": dict(Counter(recipe.split for recipe in self._recipes)),
            "speakers": {
                name: f"{delivery.accent}+{delivery.variant}, {delivery.rate} words per minute, "
                f"pitch {delivery.pitch}, range {delivery.pitch_range}"
                for name, delivery in speakers.items()
            },
        }

    @cached_property
    def lexicon(self) -> Mapping[str, list[tuple[str, ...]]]:
        """Every word of the vocabulary → its pronunciations, the most frequent first."""
        return build_lexicon(self._seed)

    @property
    def total(self) -> int:
        """How many utterances there are."""
        return len(self._recipes)

    def utterances(self, workers: int) -> Iterator[AlignedUtterance | Rejected]:
        """Every utterance, train first, then cv, then test.

        With one worker they are made in this process. Processes end when the iterator is closed, and by
        themselves should this process die. A few chunks are made ahead of the consumer, no more.

        Raises:
            SoftstoreError: a worker process was killed.
        """
        if workers <= 1:
            return (make(recipe, self._seed) for recipe in self._recipes)
        return self._made_by(workers)

    def _made_by(self, workers: int) -> Iterator[AlignedUtterance | Rejected]:
        chunks = (self._recipes[at : at + _CHUNK] for at in range(0, len(self._recipes), _CHUNK))
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_live_and_die_with_parent
        )
        ahead: deque[Future[list[AlignedUtterance | Rejected]]] = deque()
        try:
            for chunk in chunks:
                ahead.append(pool.submit(_make_all, chunk, self._seed))
                if len(ahead) == workers * _CHUNKS_AHEAD:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        except BrokenProcessPool:
            raise SoftstoreError(
                "A process making the synthetic corpus was killed, perhaps for want of memory: "
                "run it again, with fewer workers."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _make_all(recipes: list[Recipe], seed: int) -> list[AlignedUtterance | Rejected]:
    return [make(recipe, seed) for recipe in recipes]


def _live_and_die_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_after_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_after_parent, daemon=True).start()
