"""The toy language as a copy of speechocean762, laid out as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.unit.tone_speech import LEXICON, Spoken, corpus


def write_lexicon(directory: Path) -> None:
    """Vowels with either stress, so that there are pronunciations which differ by nothing else."""
    (directory / "resource").mkdir()
    lines = [
        f"{word.upper()}\t{' '.join(f'{phone}{stress}' if phone in 'AOIE' else phone for phone in phones)}\n"
        for word, variants in LEXICON.items()
        for phones in variants
        for stress in (0, 1)
    ]
    (directory / "resource" / "lexicon.txt").write_text("".join(lines))


def write_part(
    directory: Path, part: str, speakers: int, first: int, utterances: int, age: int = 20
) -> list[Spoken]:
    """Speakers are numbers from ``first``, an even one is f, an odd one m; the first is eight years old.

    wav.scp says .WAV throughout, but every other file is kept as FLAC.
    """
    folder = directory / part
    folder.mkdir()
    tables: dict[str, list[str]] = {
        name: [] for name in ("text", "utt2spk", "wav.scp", "spk2age", "spk2gender")
    }
    for number in range(first, first + speakers):
        tables["spk2age"].append(f"{number:04}\t{8 if number == first else age}")
        tables["spk2gender"].append(f"{number:04}\t{'fm'[number % 2]}")
    spoken = [found for _, found in corpus(utterances, speakers, seed=first)]
    for index, found in enumerate(spoken):
        speaker = f"{first + index % speakers:04}"
        utterance_id = f"{speaker}{index:05}"
        path = directory / "WAVE" / f"SPEAKER{speaker}" / f"{utterance_id}.WAV"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.clip(found.samples, -32768, 32767).astype(np.int16)
        if index % 2:
            soundfile.write(path.with_suffix(".flac"), samples, 16_000)
        else:
            soundfile.write(path, samples, 16_000, format="WAV")
        tables["text"].append(f"{utterance_id}\t{' '.join(found.words).upper()}")
        tables["utt2spk"].append(f"{utterance_id}\t{speaker}")
        tables["wav.scp"].append(f"{utterance_id}\t{path.relative_to(directory)}")
    for name, lines in tables.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return spoken
