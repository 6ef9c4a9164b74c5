"""What the README says of asking over HTTP, typed as it stands there; only the port is another."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import softstore
from tests.processes import ROOT
from tests.samples import make_corpus, make_store
from tests.service_process import service

UTTERANCES = ["a", "b", "c", "cv07-0039-12", "e", "f", "g", "cv07-0007-08"]
"""Those of the README, where a `make_corpus` has its cv utterances, and others."""

FRAMES = 282
ORIGIN = "http://127.0.0.1:8000"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


class Example(NamedTuple):
    """A command, and what the README shows as its answer (empty: nothing)."""

    command: str
    answer: str


def _examples() -> list[list[Example]]:
    """Those of each code block: ``$`` begins a command, which goes on in lines that are indented."""
    section = re.search(r"^### Ask over HTTP$(.*?)^### ", (ROOT / "README.md").read_text(), re.M | re.S)
    assert section
    blocks = re.findall(r"^```\n(.*?)^```$", section[1], re.M | re.S)
    pattern = re.compile(r"^\$ (.*(?:\n +.*)*)\n((?:(?!\$ ).*\n)*)", re.M)
    return [[Example(*found) for found in pattern.findall(block)] for block in blocks]


BLOCKS = _examples()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the README's commands are typed: with ``runs/demo`` as the demo leaves it, but small."""
    corpus = make_corpus(tmp_path / "runs/demo/corpus", dict.fromkeys(UTTERANCES, FRAMES))
    make_store(tmp_path / "runs/demo/store", corpus)
    # An answer that is a problem ends curl with an error.
    (tmp_path / ".curlrc").write_text('fail-with-body\nnoproxy = "*"\n')
    return tmp_path


def test_every_command_answers_as_the_readme_shows(folder: Path) -> None:
    for block in BLOCKS:
        with ExitStack() as running:
            origin = ORIGIN
            for command, answer in block:
                if command.startswith("softstore serve "):
                    # What is given last counts: other machines are not to reach a test.
                    words = [*shlex.split(command)[2:], "--host", "127.0.0.1"]
                    origin = running.enter_context(service(*words, folder=folder)).url
                else:
                    printed = _typed(command.replace(ORIGIN, origin), folder)
                    assert _shape(printed) == _shape(answer), f"{command}\n{printed}"
    posteriors = softstore.open(folder / "runs/demo/store")["cv07-0007-08"].posteriors(temperature=2)
    np.testing.assert_allclose(np.load(folder / "p.npy", allow_pickle=False), posteriors, rtol=1e-6)


def test_there_are_examples_of_each_kind() -> None:
    commands = [command for block in BLOCKS for command, _ in block if command.startswith("curl ")]
    for kind in ("top_k=", "application/x-npy", "sort=", "/batch", "Authorization: Bearer"):
        assert any(kind in command for command in commands), kind


def _typed(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "CURL_HOME": str(folder)}
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def _shape(answer: str) -> object:
    """What remains of an answer in another store: JSON without its values, text without its numbers."""
    try:
        return _outline(json.loads(answer))
    except ValueError:
        return re.sub(r"\d+", "0", answer.strip())


def _outline(value: object) -> object:
    if isinstance(value, dict):
        return {key: _outline(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_outline(held) for held in value]
    return type(value).__name__
