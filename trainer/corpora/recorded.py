"""Recorded speech with transcripts and a dictionary: a source that aligns them itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.aligner import Transcribed, align
from trainer.corpora.audio import EXTENSIONS, find_audio, read_audio
from trainer.corpora.fbank import fbank
from trainer.corpora.listed import Listed, deal
from trainer.corpora.source import LOG_LIKELIHOOD, AlignedUtterance, Rejected

SPLITS = ("train", "cv", "test")


class RecordedSource:
    """Utterances with features and an alignment of our own; a `trainer.corpora.source.Source`.

    The aligner is trained on all parts together, as it has to align them; what it cannot align is yielded as
    `Rejected`. How well an utterance is aligned is in its column `LOG_LIKELIHOOD`.

    Args:
        directory: what the audio's names are relative to.
        facts: what to record about the corpus besides its sizes; JSON values.
        dictionary: word → its pronunciations, each a tuple of phones.
        train, test: the published parts; where there is no test part, its speakers are cut from the other.
        rejected: what was left out of them.

    Raises:
        InvalidInputError: an utterance is listed twice.
    """

    def __init__(
        self,
        directory: Path,
        facts: Mapping[str, object],
        dictionary: Mapping[str, list[tuple[str, ...]]],
        train: Sequence[Listed],
        test: Sequence[Listed],
        rejected: Sequence[Rejected] = (),
    ) -> None:
        self._directory = directory
        self._facts = {**facts, "test": "as published" if test else "speakers cut from the train part"}
        self._dictionary = dictionary
        self.listed, in_test_too = deal(train, test)
        self._rejected = [*rejected, *in_test_too]

    @property
    def description(self) -> Mapping[str, object]:
        splits = {name: [u for u in self.listed if u.split == name] for name in SPLITS}
        return {
            **self._facts,
            "utterances": {name: len(members) for name, members in splits.items()},
            "speakers": {name: len({u.speaker for u in members}) for name, members in splits.items()},
            "words": len(self._dictionary),
        }

    @property
    def lexicon(self) -> Mapping[str, list[tuple[str, ...]]]:
        return self._dictionary

    @property
    def total(self) -> int:
        return len(self.listed) + len(self._rejected)

    def utterances(self, workers: int) -> Iterator[AlignedUtterance | Rejected]:
        """Reads all audio, then trains the aligner and aligns, then yields in the order of the lists."""
        with ThreadPoolExecutor(max_workers=workers) as pool:
            heard = list(pool.map(self._features, self.listed))
        usable = [
            Transcribed(listed.utterance_id, listed.speaker, listed.text, features)
            for listed, features in zip(self.listed, heard, strict=True)
            if not isinstance(features, Rejected)
        ]
        aligned = align(usable, self._dictionary, workers)
        outcomes = iter(zip(aligned.outcomes, aligned.log_likelihoods, strict=True))
        for listed, features in zip(self.listed, heard, strict=True):
            if isinstance(features, Rejected):
                yield features
                continue
            outcome, log_likelihood = next(outcomes)
            if isinstance(outcome, Rejected):
                yield outcome
            else:
                yield AlignedUtterance(
                    listed.utterance_id,
                    listed.speaker,
                    listed.split,
                    listed.text,
                    features,
                    outcome,
                    {LOG_LIKELIHOOD: log_likelihood},
                )
        yield from self._rejected

    def _features(self, listed: Listed) -> NDArray[np.float32] | Rejected:
        path = find_audio(self._directory, listed.audio)
        if path is None:
            *most, last = EXTENSIONS
            return Rejected(
                listed.utterance_id, f"no audio: {listed.audio} ({', '.join(most)} or {last}) is not there"
            )
        try:
            return fbank(read_audio(path))
        except (OSError, ValueError, soundfile.LibsndfileError) as error:
            return Rejected(listed.utterance_id, f"unreadable audio: {listed.audio}{path.suffix}: {error}")
