"""`softstore evaluate`: figures of whole utterances, against the same worked out one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

import softstore
from softstore.cli import build
from softstore.codecs import Codec, TopK, UInt8
from softstore.errors import InvalidInputError, SoftstoreError
from softstore.softening import kl_divergence, log_soften
from tests.learnable_store import make_learnable_store
from tests.service import serving
from tests.trainer_data import DIMENSIONS, LENGTHS
from trainer.checkpoint import load_model
from trainer.evaluation import evaluate
from trainer.examples import open_examples
from trainer.models import DNNConfig

CODECS: dict[str, Codec] = {"topk": TopK(k=6), "uint8": UInt8()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a ``corpus``, a ``teacher``, and its stores by codec."""
    root = tmp_path_factory.mktemp("evaluate")
    make_learnable_store(root, codecs=CODECS)
    return root


def one_by_one(root: Path, store: str, split: str) -> dict[str, tuple[Tensor, Tensor]]:
    """By utterance: whether each frame is right, (frames,), and its KL at T = 1, 2, 4 and 8, (4, frames)."""
    model = load_model(root / "teacher").model
    found = {}
    for utterance in softstore.open(root / store).scan(split=split):
        log_y = model.log_posteriors(torch.from_numpy(utterance.features()))
        right = log_y.argmax(dim=-1) == torch.from_numpy(utterance.labels())
        kl = [
            kl_divergence(torch.from_numpy(utterance.log_posteriors(t)), log_soften(log_y, t))
            for t in (1.0, 2.0, 4.0, 8.0)
        ]
        found[utterance.utterance_id] = right, torch.stack(kl)
    return found


@pytest.mark.parametrize("store", CODECS)
def test_every_utterance_is_scored_with_its_own_frames(root: Path, store: str) -> None:
    model = load_model(root / "teacher").model
    found = evaluate(model, open_examples(root / store), "train", ["utterance_id", "condition"])
    expected = one_by_one(root, store, "train")
    assert found.by["utterance_id"].keys() == expected.keys()
    for utterance_id, scores in found.by["utterance_id"].items():
        right, kl = expected[utterance_id]
        assert (scores.utterances, scores.frames) == (1, LENGTHS[utterance_id])
        assert scores.frame_accuracy == pytest.approx(100 * float(right.double().mean()))
        means = dict(zip(("1", "2", "4", "8"), kl.double().mean(dim=1).tolist(), strict=True))
        assert scores.kl == pytest.approx(means, rel=1e-3, abs=1e-6)
    assert sum(scores.frames for scores in found.by["condition"].values()) == found.total.frames
    assert sum(scores.utterances for scores in found.by["condition"].values()) == found.total.utterances == 18
    assert sum(bin_.frames for bin_ in found.reliability) == found.total.frames


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(argument) for argument in arguments])


def test_a_store_behind_http_gives_the_same_figures_and_a_picture(root: Path, tmp_path: Path) -> None:
    json_file, picture = tmp_path / "new" / "figures.json", tmp_path / "picture.svg"
    with serving({"demo": root / "uint8"}) as client:
        url = f"{client.base_url}/v1/stores/demo/objects"
        model = ("--model", root / "teacher")
        found = command("evaluate", *model, "--store", url, "--json", json_file, "--plot", picture)
    assert found.exit_code == 0, found.output
    figures = json.loads(json_file.read_text())
    assert figures["fingerprint"] == load_model(root / "teacher").fingerprint
    local = evaluate(load_model(root / "teacher").model, open_examples(root / "uint8"), "cv")
    assert figures["splits"]["cv"] == json.loads(json.dumps(local.to_json()))
    assert list(figures["splits"]["train"]["by"]) == ["condition", "speaker"]
    assert picture.read_text().count("KL(teacher") == 1
    assert "speaker-23" in found.output
    assert "left out" not in found.output


def test_a_corpus_has_no_divergence(root: Path, tmp_path: Path) -> None:
    json_file, picture = tmp_path / "figures.json", tmp_path / "picture.PNG"
    found = command(
        *("evaluate", "--model", root / "teacher", "--store", root / "corpus", "--by", "num_frames"),
        *("--split", "cv", "--json", json_file, "--plot", picture),
    )
    assert found.exit_code == 0, found.output
    assert "KL" not in found.output
    figures = json.loads(json_file.read_text())["splits"]["cv"]
    assert figures["kl"] == {}
    assert list(figures["by"]) == ["num_frames"]
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "speeker"), "There is no manifest column 'speeker'; there are utterance_id"),
        (("--split", "dev"), "no frames in the split 'dev'; it has cv, train"),
        (("--plot", "figures.jpg"), "figures.jpg is no picture that can be drawn"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(root: Path, arguments: tuple[str, str], said: str) -> None:
    found = command("evaluate", "--model", root / "teacher", "--store", root / "corpus", *arguments)
    assert isinstance(found.exception, SoftstoreError)
    assert said in str(found.exception)


def test_a_model_of_other_frames_is_refused(root: Path) -> None:
    model = DNNConfig(DIMENSIONS + 1, 12, context=0, transform_dim=4, layers=1, hidden=4).build()
    with pytest.raises(InvalidInputError, match="reads 7 features"):
        evaluate(model, open_examples(root / "corpus"), "cv")
