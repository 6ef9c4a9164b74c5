"""Kaldi archives of log-posteriors, written by two other programs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from softstore.errors import CorruptDataError, InvalidInputError, MissingDependencyError, NotFoundError
from softstore.teacher import Stored, Teacher, load_teacher

kaldiio = pytest.importorskip("kaldiio")
native = pytest.importorskip("kaldi_native_io")

Matrices = dict[str, NDArray[np.float32]]

CLASSES = 11


def random_matrices(*names: str) -> Matrices:
    """Log-posteriors of 3 to 40 frames for each name."""
    generator = torch.Generator().manual_seed(5)
    found = {}
    for number, name in enumerate(names):
        logits = 3 * torch.randn(3 + 37 * number % 40, CLASSES, generator=generator)
        found[name] = torch.log_softmax(logits, dim=-1).numpy()
    return found


MATRICES = random_matrices("first", "zweite-ü", "third_3", "4")


def stored(teacher: Teacher, utterance_id: str) -> NDArray[np.float32]:
    assert isinstance(teacher, Stored)
    return teacher.stored_log_posteriors(utterance_id).numpy()


def write_native(path: Path, matrices: Matrices, script: bool = False, text: bool = False) -> None:
    target = f"ark{',t' if text else ''}{',scp' if script else ''}:{path}"
    with native.FloatMatrixWriter(f"{target},{path.with_suffix('.scp')}" if script else target) as writer:
        for name, matrix in matrices.items():
            writer.write(name, matrix)


def write_kaldiio(path: Path, matrices: Matrices, **options: Any) -> None:
    kaldiio.save_ark(str(path), matrices, **options)


def as_double(path: Path, matrices: Matrices) -> None:
    write_kaldiio(path, {name: matrix.astype(np.float64) for name, matrix in matrices.items()})


def compressed(method: int) -> Callable[[Path, Matrices], None]:
    return lambda path, matrices: write_kaldiio(path, matrices, compression_method=method)


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (write_native, 0),
        (write_kaldiio, 0),
        (as_double, 1e-6),
        (lambda path, matrices: write_native(path, matrices, text=True), 1e-4),
        (lambda path, matrices: write_kaldiio(path, matrices, text=True), 1e-5),
        (compressed(2), 0.2),  # CM
        (compressed(3), 1e-3),  # CM2
        (compressed(5), 0.1),  # CM3
    ],
)
@pytest.mark.parametrize("prefix", ["", "ark:"])
def test_every_matrix_is_found(
    tmp_path: Path, write: Callable[[Path, Matrices], None], error: float, prefix: str
) -> None:
    write(tmp_path / "posteriors.ark", MATRICES)
    teacher = load_teacher(f"{prefix}{tmp_path / 'posteriors.ark'}")
    assert teacher.class_count == CLASSES
    assert teacher.description["utterances"] == len(MATRICES)
    for name in reversed(MATRICES):
        np.testing.assert_allclose(stored(teacher, name), MATRICES[name], atol=error, rtol=0)


@pytest.mark.parametrize("write", [write_native, write_kaldiio])
def test_a_script_leads_into_archives(tmp_path: Path, write: Callable[..., None]) -> None:
    lines = []
    for number, names in enumerate((["first", "4"], ["zweite-ü", "third_3"])):
        path = tmp_path / f"{number}.ark"
        chosen = {name: MATRICES[name] for name in names}
        if write is write_native:
            write_native(path, chosen, script=True)
        else:
            write_kaldiio(path, chosen, scp=str(path.with_suffix(".scp")))
        lines.append(path.with_suffix(".scp").read_text())
    (tmp_path / "all.scp").write_text("".join(lines))
    teacher = load_teacher(f"scp:{tmp_path / 'all.scp'}")
    for name, matrix in MATRICES.items():
        np.testing.assert_array_equal(stored(teacher, name), matrix)
    assert load_teacher(tmp_path / "all.scp").fingerprint == teacher.fingerprint


def test_an_archive_larger_than_memory_is_only_indexed(tmp_path: Path) -> None:
    # 8 TB of zeros that take no room on disk, then a small matrix.
    rows, columns = 2**30, 2000
    with (tmp_path / "huge.ark").open("wb") as file:
        header = b"\4" + rows.to_bytes(4, "little") + b"\4" + columns.to_bytes(4, "little")
        try:
            file.seek(
                file.write(b"small \0BFM \4\1\0\0\0\4\1\0\0\0abcdhuge \0BFM " + header) + 4 * rows * columns
            )
            file.write(b"last ")
        except OSError:
            pytest.skip("no files of this size here")
    write_native(tmp_path / "one.ark", {"last": MATRICES["first"]})
    with (tmp_path / "huge.ark").open("ab") as file:
        file.write((tmp_path / "one.ark").read_bytes().removeprefix(b"last "))
    np.testing.assert_array_equal(stored(load_teacher(tmp_path / "huge.ark"), "last"), MATRICES["first"])


def test_an_utterance_that_is_missing_is_named(tmp_path: Path) -> None:
    write_native(tmp_path / "p.ark", MATRICES)
    with pytest.raises(InvalidInputError, match=r"p\.ark holds no posteriors of utterance 'fifth'"):
        stored(load_teacher(tmp_path / "p.ark"), "fifth")


def test_an_archive_that_a_script_names_is_missing(tmp_path: Path) -> None:
    write_native(tmp_path / "p.ark", MATRICES, script=True)
    teacher = load_teacher(tmp_path / "p.scp")
    (tmp_path / "p.ark").unlink()
    with pytest.raises(NotFoundError, match=r"There is no file .*'first'"):
        stored(teacher, "first")


@pytest.mark.parametrize("text", [False, True])
def test_an_archive_that_was_cut_is_damaged(tmp_path: Path, text: bool) -> None:
    write_native(tmp_path / "p.ark", MATRICES, text=text)
    data = (tmp_path / "p.ark").read_bytes()
    for length in (*range(1, 40), len(data) // 2, len(data) - 9):
        (tmp_path / "cut.ark").write_bytes(data[:length])
        with pytest.raises(CorruptDataError, match=r"cut\.ark"):
            load_teacher(tmp_path / "cut.ark")


def test_an_offset_that_is_wrong(tmp_path: Path) -> None:
    write_native(tmp_path / "p.ark", MATRICES)
    (tmp_path / "p.scp").write_text(f"first {tmp_path / 'p.ark'}:40\n")
    with pytest.raises(CorruptDataError, match="'first' cannot be read at byte 40"):
        load_teacher(tmp_path / "p.scp")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.ark", "", "holds no matrices"),
        ("p.scp", "", "holds no matrices"),
        ("p.scp", "first touch {trace} |\n", "Line 1 .* command"),
        ("p.scp", "first | touch {trace}\n", "Line 1 .* command"),
        ("p.scp", "first /data/p.ark:6[0:10]\n", "Line 1 .* part of a matrix"),
        ("p.scp", "first p.ark:6\nsecond\n", "Line 2"),
        ("p.scp", "first p.ark:6\nfirst p.ark:600\n", "'first' twice"),
    ],
)
def test_what_is_not_read(tmp_path: Path, name: str, content: str, message: str) -> None:
    trace = tmp_path / "trace"
    (tmp_path / name).write_text(content.format(trace=trace))
    with pytest.raises(InvalidInputError, match=message):
        load_teacher(tmp_path / name)
    assert not trace.exists()


def test_an_utterance_that_is_there_twice(tmp_path: Path) -> None:
    write_native(tmp_path / "p.ark", MATRICES)
    data = (tmp_path / "p.ark").read_bytes()
    (tmp_path / "p.ark").write_bytes(data + data)
    with pytest.raises(InvalidInputError, match="'first' twice"):
        load_teacher(tmp_path / "p.ark")


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("script", [False, True])
def test_a_pickle_in_an_archive_is_not_opened(tmp_path: Path, script: bool) -> None:
    # kaldiio would.
    trace = tmp_path / "trace"
    (tmp_path / "p.ark").write_bytes(b"first PKL" + pickle.dumps(Evil(trace)))
    (tmp_path / "p.scp").write_text(f"first {tmp_path / 'p.ark'}:6\n")
    with pytest.raises(CorruptDataError):
        load_teacher(tmp_path / ("p.scp" if script else "p.ark"))
    assert not trace.exists()


def test_a_fingerprint_changes_with_what_is_stored(tmp_path: Path) -> None:
    other = {**MATRICES, "4": MATRICES["4"] + 1}
    found = []
    for name, matrices in (("a.ark", MATRICES), ("b.ark", MATRICES), ("c.ark", other)):
        write_native(tmp_path / name, matrices)
        found.append(load_teacher(tmp_path / name).fingerprint)
    (tmp_path / "b.ark.json").write_text('{"capture_temperature": 2}')
    found.append(load_teacher(tmp_path / "b.ark").fingerprint)
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_a_script_of_other_utterances_is_another_teacher(tmp_path: Path) -> None:
    write_native(tmp_path / "p.ark", MATRICES, script=True)
    before = load_teacher(tmp_path / "p.scp").fingerprint
    first, second, *rest = (tmp_path / "p.scp").read_text().splitlines()
    (name, place), (other, elsewhere) = first.split(" "), second.split(" ")
    swapped = [f"{name} {elsewhere}", f"{other} {place}", *rest]
    (tmp_path / "p.scp").write_text("\n".join(swapped) + "\n")
    assert load_teacher(tmp_path / "p.scp").fingerprint != before


def test_what_lies_beside_is_recorded(tmp_path: Path) -> None:
    write_native(tmp_path / "p.ark", MATRICES)
    said = {"capture_temperature": 2.5, "description": "the 2015 system"}
    (tmp_path / "p.ark.json").write_text(json.dumps(said))
    description = load_teacher(tmp_path / "p.ark").description
    assert {key: description[key] for key in said} == said


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ("{", "is not JSON"),
        ("[2]", "is no object with"),
        ('{"capture_temprature": 2}', "is no object with"),
        ('{"capture_temperature": 0}', "must be a finite number above 0"),
        ('{"capture_temperature": "2"}', "must be a finite number above 0"),
        ('{"capture_temperature": NaN}', "must be a finite number above 0"),
    ],
)
def test_something_else_beside_is_refused(tmp_path: Path, beside: str, message: str) -> None:
    write_native(tmp_path / "p.ark", MATRICES)
    (tmp_path / "p.ark.json").write_text(beside)
    with pytest.raises(InvalidInputError, match=rf"p\.ark\.json.*{message}"):
        load_teacher(tmp_path / "p.ark")


def test_it_travels_to_other_processes(tmp_path: Path) -> None:
    write_native(tmp_path / "p.ark", MATRICES)
    again = pickle.loads(pickle.dumps(load_teacher(tmp_path / "p.ark")))  # noqa: S301
    np.testing.assert_array_equal(stored(again, "4"), MATRICES["4"])


def test_without_its_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_native(tmp_path / "p.ark", MATRICES)
    monkeypatch.setitem(import_module("sys").modules, "kaldi_native_io", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'softstore\[kaldi\]'"):
        load_teacher(tmp_path / "p.ark")
