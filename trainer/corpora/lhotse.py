"""lhotse cuts with features, or with recordings, and a field of senones → labelled utterances.

A cut is an utterance. Its labels are a custom field: a `TemporalArray` or `Array` of integers, or a list of
them in the manifest itself. Cuts without features get the project's own, `trainer.corpora.fbank`.
See https://lhotse.readthedocs.io/en/latest/cuts.html.

Nothing that a manifest names is run or unpickled: recordings that are commands, ``pipe:`` paths and the like
are left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softstore.errors import CorruptDataError, InvalidInputError, MissingDependencyError, NotFoundError
from trainer.corpora.build import FEATURE_DESCRIPTION
from trainer.corpora.fbank import FRAME_LENGTH_MS, FRAME_SHIFT_MS, SAMPLE_RATE, fbank
from trainer.corpora.labelled import Found, Labelled, Progress

FULL_SCALE = 32_768
_WINDOW = int(SAMPLE_RATE * FRAME_LENGTH_MS / 1000)
_SHIFT = int(SAMPLE_RATE * FRAME_SHIFT_MS / 1000)


def find_lhotse(
    splits: Mapping[str, Path],
    field: str = "pdf",
    progress: Progress = lambda stage, done, total: None,
) -> Found:
    """The utterances of some manifests, in their order; features and sound are left where they are.

    Labels are kept in memory, and so are the cuts.

    Args:
        splits: a manifest of cuts, ``.jsonl`` or ``.jsonl.gz``, by the name of its split.
        field: the custom field with the labels.

    Raises:
        NotFoundError: a manifest is not there.
        InvalidInputError: one is no manifest of cuts.
        MissingDependencyError: lhotse is not installed.
    """
    found = Found()
    for split, path in splits.items():
        for done, cut in enumerate(_cuts(path), start=1):
            _add_cut(found, split, cut, field)
            progress(f"Looking at {split}", done, done)
    return found


def _cuts(path: Path) -> Iterator[Any]:
    try:
        lhotse = import_module("lhotse")
        cut_type = import_module("lhotse.cut").Cut
    except ImportError as error:
        raise MissingDependencyError("Cuts are read with lhotse: pip install lhotse.") from error
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}: give a manifest of cuts.")
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise InvalidInputError(f"{path} is no manifest of cuts: its name is to end in .jsonl or .jsonl.gz.")
    try:
        for cut in lhotse.CutSet.from_jsonl_lazy(path):
            if not isinstance(cut, cut_type):
                raise TypeError(f"it holds a {type(cut).__name__}")
            yield cut
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInputError(f"{path} is no manifest of cuts: {_brief(error)}.") from error


def _add_cut(found: Found, split: str, cut: Any, field: str) -> None:
    try:
        reason = _unusable(cut, field)
        if reason is None:
            labels = _labels(cut, field)
            described, frames = _described(cut)
            speaker, text = _said(cut)
    except Exception as error:  # lhotse raises what its readers raise, and a manifest may hold anything
        reason = f"unreadable: {_brief(error)}"
    if reason is not None:
        found.reject(cut.id, reason)
        return
    found.add(Labelled(cut.id, speaker, split, text, labels, described, partial(_features, cut)), frames)


def _unusable(cut: Any, field: str) -> str | None:
    """Why a cut cannot be used, whatever its labels are; None: it can."""
    if type(cut).__name__ != "MonoCut":
        return f"no MonoCut: it is a {type(cut).__name__}"
    labels = (cut.custom or {}).get(field)
    if labels is None:
        return f"no labels: it has no custom field {field!r}"
    if type(labels).__name__ not in ("list", "Array", "TemporalArray"):
        return f"no labels: {field!r} is a {type(labels).__name__}"
    if _runs(getattr(labels, "array", labels)) or _runs(cut.features):
        return "no file: what it names would be run or unpickled"
    speakers = _speakers(cut)
    if len(speakers) > 1:
        return f"several speakers: {', '.join(speakers)}; cut it at its supervisions"
    if cut.has_features:
        return None
    if not cut.has_recording:
        return "no features: and no recording to make them from"
    if any(source.type == "command" or _is_command(source.source) for source in cut.recording.sources):
        return "no file: its recording is a command"
    if cut.sampling_rate != SAMPLE_RATE:
        return f"another sampling rate: {cut.sampling_rate:,} Hz; resample it to {SAMPLE_RATE:,}"
    return None


def _speakers(cut: Any) -> list[str]:
    return sorted({part.speaker for part in cut.supervisions if part.speaker})


def _said(cut: Any) -> tuple[str, str]:
    """By whom, and what."""
    parts = sorted(cut.supervisions, key=lambda part: part.start)
    words = [word for part in parts for word in (part.text or "").split()]
    return "".join(_speakers(cut)), " ".join(words)


def _runs(stored: Any) -> bool:
    """Whether reading such an array would run a command, or unpickle."""
    kind = getattr(stored, "storage_type", "")
    path, key = str(getattr(stored, "storage_path", "")), str(getattr(stored, "storage_key", ""))
    return kind == "memory_raw" or path.endswith(".scp") or any(map(_is_command, (path, key, path + key)))


def _is_command(place: object) -> bool:
    return str(place).startswith(("pipe:", "|")) or str(place).rstrip().endswith("|")


def _labels(cut: Any, field: str) -> NDArray[np.integer]:
    stored = cut.custom[field]
    labels = np.asarray(stored if isinstance(stored, list) else cut.load_custom(field))
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{field!r} holds {labels.dtype} of the shape {labels.shape}, not a row of integers")
    return labels


def _described(cut: Any) -> tuple[Mapping[str, Any], int]:
    """What a row of its features is, and how many there are."""
    if cut.has_features:
        described = {
            "kind": cut.features_type,
            "dimensions": cut.num_features,
            "sample_rate": cut.sampling_rate,
            "frame_shift_ms": round(1000 * cut.frame_shift, 6),
        }
        return described, cut.num_frames
    samples = cut.num_samples
    return FEATURE_DESCRIPTION, 1 + (samples - _WINDOW) // _SHIFT if samples >= _WINDOW else 0


def _features(cut: Any) -> NDArray[np.float32]:
    try:
        if cut.has_features:
            return np.asarray(cut.load_features(), np.float32)
        return fbank(FULL_SCALE * np.asarray(cut.load_audio()[0], np.float32))
    except Exception as error:  # as above
        raise CorruptDataError(f"The cut {cut.id!r} cannot be read: {_brief(error)}.") from error


def _brief(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
