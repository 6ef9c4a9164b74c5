"""lhotse cuts with labels become corpora."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from softstore import Corpus
from softstore.errors import CorruptDataError, InvalidInputError, NotFoundError, SoftstoreError
from trainer.commands.corpus_kaldi import imports
from trainer.corpora.build import FEATURE_DESCRIPTION
from trainer.corpora.fbank import fbank

lhotse = pytest.importorskip("lhotse")

from lhotse.array import Array, TemporalArray  # noqa: E402

RATE = 16_000
DIMENSIONS = 4
SENONES = 9


def imported(*arguments: str | Path) -> Result:
    return CliRunner().invoke(imports, ["import-lhotse", *map(str, arguments)])


def array(path: Path, name: str, values: NDArray[Any]) -> Any:
    path.mkdir(exist_ok=True)
    np.save(path / f"{name}.npy", values)
    return Array("numpy_files", str(path), f"{name}.npy", list(values.shape))


def temporal(path: Path, name: str, values: NDArray[Any]) -> Any:
    return TemporalArray(array(path, name, values), temporal_dim=0, frame_shift=0.01, start=0.0)


def features(path: Path, name: str, rows: NDArray[np.float32]) -> Any:
    stored = array(path, f"feats-{name}", rows)
    return lhotse.Features(
        recording_id=name,
        channels=0,
        start=0.0,
        duration=len(rows) / 100,
        type="kaldi-fbank",
        num_frames=len(rows),
        num_features=rows.shape[1],
        frame_shift=0.01,
        sampling_rate=RATE,
        storage_type=stored.storage_type,
        storage_path=stored.storage_path,
        storage_key=stored.storage_key,
    )


def recording(path: Path, name: str, samples: NDArray[np.int16], rate: int = RATE) -> Any:
    file = path / f"{name}.wav"
    soundfile.write(file, samples, rate)
    return lhotse.Recording.from_file(file, recording_id=name)


def supervision(name: str, start: float, text: str, speaker: str | None = "anna") -> Any:
    return lhotse.SupervisionSegment(f"{name}-{start}", name, start, 0.1, text=text, speaker=speaker)


def cut(name: str, duration: float, **fields: Any) -> Any:
    return lhotse.MonoCut(id=name, start=0.0, duration=duration, channel=0, **fields)


def write(path: Path, cuts: list[Any]) -> Path:
    lhotse.CutSet.from_cuts(cuts).to_file(path)
    return path


def random_rows(frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(frames).normal(size=(frames, DIMENSIONS)).astype(np.float32)


def random_labels(frames: int) -> NDArray[np.int32]:
    labels = np.random.default_rng(frames).integers(0, SENONES, frames).astype(np.int32)
    labels[0] = SENONES - 1
    return labels


def good(path: Path, name: str, frames: int = 30, **fields: Any) -> Any:
    """A cut with features and labels."""
    rows, labels = random_rows(frames), random_labels(frames)
    given = {
        "features": features(path, name, rows),
        "supervisions": [supervision(name, 0.0, "one")],
        "custom": {"pdf": temporal(path, name, labels)},
    }
    return cut(name, frames / 100, **(given | fields))


def test_cuts_with_features(tmp_path: Path) -> None:
    """Of labels as a temporal array, an array, and a list; the last cut is a part of its recording."""
    stored = tmp_path / "arrays"
    names = {"a": 30, "b": 40, "c": 50}
    cuts = [
        good(
            stored, "a", 30, supervisions=[supervision("a", 0.2, "two  three"), supervision("a", 0.0, "one")]
        ),
        good(stored, "b", 40, custom={"pdf": array(stored, "b-pdf", random_labels(40))}),
        good(stored, "c", 50, custom={"pdf": random_labels(50).tolist()}, supervisions=[]),
    ]
    part = good(stored, "d", 60).truncate(offset=0.2, duration=0.25, preserve_id=True)
    train = write(tmp_path / "train.jsonl.gz", cuts)
    found = imported(
        *("--train", train, "--cv", write(tmp_path / "cv.jsonl", [part])), "--out", tmp_path / "out"
    )
    assert found.exit_code == 0, found.output
    corpus = Corpus.open(tmp_path / "out")
    assert corpus.class_count == SENONES
    assert corpus.attributes.features["kind"] == "kaldi-fbank"
    assert [u.utterance_id for u in corpus.utterances(split="train")] == list(names)
    for name, frames in names.items():
        np.testing.assert_array_equal(corpus[name].features(), random_rows(frames))
        np.testing.assert_array_equal(corpus[name].labels(), random_labels(frames))
    assert (corpus["a"].text, corpus["a"].speaker) == ("one two three", "anna")
    assert (corpus["c"].text, corpus["c"].speaker) == ("", "")
    np.testing.assert_array_equal(corpus["d"].features(), random_rows(60)[20:45])
    np.testing.assert_array_equal(corpus["d"].labels(), random_labels(60)[20:45])


def test_cuts_with_recordings_get_our_features(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-20_000, 20_000, 8_123).astype(np.int16)
    expected = fbank(samples.astype(np.float32))
    sounding = cut(
        "a",
        len(samples) / RATE,
        recording=recording(tmp_path, "a", samples),
        supervisions=[supervision("a", 0.0, "one")],
        custom={"senones": temporal(tmp_path / "arrays", "a", random_labels(len(expected)))},
    )
    train = write(tmp_path / "train.jsonl.gz", [sounding])
    found = imported("--train", train, "--labels", "senones", "--senones", "2008", "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    corpus = Corpus.open(tmp_path / "out")
    assert corpus.class_count == 2008
    assert corpus.attributes.features == FEATURE_DESCRIPTION
    np.testing.assert_array_equal(corpus["a"].features(), expected)


def test_what_cannot_be_used_is_left_out_and_nothing_is_run(tmp_path: Path) -> None:
    stored, ran = tmp_path / "arrays", tmp_path / "ran"
    samples = np.zeros(8_000, np.int16)
    sound = recording(tmp_path, "sound", samples)
    commanded = recording(tmp_path, "commanded", samples)
    commanded.sources[0].type, commanded.sources[0].source = "command", f"touch {ran}"
    piped = features(stored, "piped", random_rows(30))
    piped.storage_path = f"pipe:touch {ran}; cat "
    kaldi = features(stored, "kaldi", random_rows(30))
    kaldi.storage_type, kaldi.storage_path = "kaldiio", f"touch {ran} |"
    slow = recording(tmp_path, "slow", samples, 8_000)
    two = [supervision("two", 0.0, "one"), supervision("two", 0.1, "two", "ben")]
    labels = {"pdf": [1] * 48}
    train = write(
        tmp_path / "train.jsonl.gz",
        [
            good(stored, "fits"),
            good(stored, "unlabelled", custom={"other": [1]}),
            good(stored, "short", custom={"pdf": [1] * 10}),
            good(stored, "fractions", custom={"pdf": array(stored, "halves", np.full(30, 0.5))}),
            good(stored, "lost", custom={"pdf": Array("numpy_files", str(stored), "gone.npy", [30])}),
            good(stored, "two", supervisions=two),
            good(stored, "piped", features=piped),
            good(stored, "kaldi", features=kaldi),
            good(stored, "labels-run", custom={"pdf": commanded}),
            cut("commanded", 0.5, recording=commanded, custom=labels),
            cut("slow", 1.0, recording=slow, custom=labels),
            cut("nothing", 0.3, custom=labels),
            cut("sounds", 0.5, recording=sound, custom=labels).pad(duration=1.0, preserve_id=True),
        ],
    )
    found = imported("--train", train, "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    corpus = Corpus.open(tmp_path / "out")
    assert [utterance.utterance_id for utterance in corpus.utterances()] == ["fits"]
    rejected = {entry["utterance_id"]: entry["reason"] for entry in corpus.attributes.corpus["rejected"]}
    assert not ran.exists()
    begin = {
        "unlabelled": "no labels: it has no custom field 'pdf'",
        "short": "the alignment does not fit: 30 frames, 10 labels; each frame needs one",
        "fractions": "unreadable: 'pdf' holds float64 of the shape (30,)",
        "lost": "unreadable: ",
        "two": "several speakers: anna, ben",
        "piped": "no file: what it names would be run",
        "kaldi": "no file: what it names would be run",
        "labels-run": "no labels: 'pdf' is a Recording",
        "commanded": "no file: its recording is a command",
        "slow": "another sampling rate: 8,000 Hz",
        "nothing": "no features: ",
        "sounds": "no MonoCut: it is a MixedCut",
    }
    assert rejected.keys() == begin.keys()
    for name, reason in begin.items():
        assert rejected[name].startswith(reason), rejected[name]


def no_file(path: Path) -> None:
    path.unlink()


def supervisions(path: Path) -> None:
    lhotse.SupervisionSet.from_segments([supervision("a", 0.0, "one")]).to_file(path)


def no_json(path: Path) -> None:
    with gzip.open(path, "wt") as file:
        file.write("{\n")


def no_gzip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def no_cut(path: Path) -> None:
    with gzip.open(path, "wt") as file:
        file.write('{"type": "MonoCut", "id": "a"}\n')


def of_other_widths(path: Path) -> None:
    stored = path.parent / "arrays"
    wide = features(stored, "wide", np.zeros((30, DIMENSIONS + 1), np.float32))
    write(path, [good(stored, "a"), good(stored, "wide", features=wide)])


def lost_features(path: Path) -> None:
    (path.parent / "arrays" / "feats-a.npy").unlink()


@pytest.mark.parametrize(
    ("spoil", "error", "sentence"),
    [
        (no_file, NotFoundError, "There is no file"),
        (supervisions, InvalidInputError, "it holds a SupervisionSegment"),
        (no_json, InvalidInputError, "is no manifest of cuts"),
        (no_gzip, InvalidInputError, "is no manifest of cuts"),
        (no_cut, InvalidInputError, "is no manifest of cuts"),
        (of_other_widths, InvalidInputError, "Features are not all alike"),
        (lost_features, CorruptDataError, "The cut 'a' cannot be read"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, spoil: Callable[[Path], None], error: type[SoftstoreError], sentence: str
) -> None:
    train = write(tmp_path / "train.jsonl.gz", [good(tmp_path / "arrays", "a")])
    spoil(train)
    found = imported("--train", train, "--out", tmp_path / "out")
    assert type(found.exception) is error, found.output
    assert sentence in str(found.exception)
    assert "\n" not in str(found.exception)
