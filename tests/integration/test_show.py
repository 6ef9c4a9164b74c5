"""`softstore show`: the posteriorgram in the terminal and as a picture."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import softstore
from softstore import InvalidInputError, MissingDependencyError, Store
from softstore.cli import build
from softstore.codecs import Float32
from softstore.posteriorgram import Posteriorgram


def show(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(build(), ["show", *map(str, arguments)])


def image(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def moving_peak() -> Posteriorgram:
    """Class 5 for 30 frames, then class 2 for 20, then class 7 for 10, of nine classes."""
    posteriors = np.full((60, 9), 0.01, np.float32)
    for class_, frames in ((5, slice(0, 30)), (2, slice(30, 50)), (7, slice(50, 60))):
        posteriors[frames, class_] = 0.92
    return Posteriorgram(posteriors, 0.01, start=100)


def test_lines_show_the_heaviest_class_first_and_the_seconds() -> None:
    assert moving_peak().lines(rows=3, width=62) == [
        "5 " + "█" * 30 + " " * 30,
        "2 " + " " * 30 + "█" * 20 + " " * 10,
        "7 " + " " * 50 + "█" * 10,
        "  1.00 s" + " " * 48 + "1.60 s",
    ]


def test_lines_fit_any_width() -> None:
    for width in range(1, 80):
        lines = moving_peak().lines(rows=3, width=width)
        assert [len(line) <= max(width, 8) for line in lines] == [True] * 4
    assert Posteriorgram(np.empty((0, 9), np.float32), 0.01).lines(rows=3, width=80) == []


def test_entropy_and_mass() -> None:
    drawing = Posteriorgram(np.array([[0.5, 0.5, 0], [0, 0, 1]], np.float32), 0.01)
    np.testing.assert_allclose(drawing.entropy(), [np.log(2), 0], atol=1e-6)
    np.testing.assert_allclose(drawing.mass(), [0.25, 0.25, 0.5])


def test_a_picture_is_drawn_as_the_posteriors_are() -> None:
    title, text = "a · T = 2", "$no maths$ \\x{ 你好 " + 300 * "long "
    picture = image(moving_peak().png(title, text))
    assert picture.shape[0] > 500
    assert picture.shape[1] > 1000
    # Of nine rows, the three peaks are one after another: bright from the upper left to the lower right.
    bright = np.argwhere((picture.min(axis=2) < 200) & (picture[..., 0] > 240) & (picture[..., 1] > 230))
    early = bright[bright[:, 1] < picture.shape[1] // 3][:, 0].mean()
    late = bright[(bright[:, 1] > 0.78 * picture.shape[1]) & (bright[:, 1] < 0.86 * picture.shape[1])]
    assert early < late[:, 0].mean()


def test_show_draws_into_a_file_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"an older picture")
    found = show(store.url, "a", "-T", "2", "--png", target)
    assert found.exit_code == 0
    assert "Drawn into" in found.output
    assert image(target.read_bytes()).std() > 10
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    before = target.read_bytes()
    assert isinstance(
        show(store.url, "a", "--start", "5", "--stop", "5", "--png", target).exception, InvalidInputError
    )
    for place in (tmp_path, tmp_path / "nowhere" / "a.png"):
        assert isinstance(show(store.url, "a", "--png", place).exception, InvalidInputError)
    assert target.read_bytes() == before


def test_show_says_what_is_missing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = show(store.url, "a", "--png", tmp_path / "a.png")
    assert isinstance(found.exception, MissingDependencyError)
    assert "softstore[demo]" in str(found.exception)
    assert show(store.url, "a").exit_code == 0


def test_show_of_strange_ids(tmp_path: Path) -> None:
    ids = ["x" * 1000, "$x_{ a\nb", "[bold] 你好"]
    with softstore.create(tmp_path / "store", class_count=3, codec=Float32(), teacher="t") as recorder:
        for name in ids:
            recorder.add(name, np.eye(3), text=name, speaker=name)
    for name in ids:
        found = show(tmp_path / "store", name)
        assert found.exit_code == 0
        assert name[:40] in found.output
        assert moving_peak().png(name, name).startswith(b"\x89PNG")
