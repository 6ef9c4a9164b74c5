"""Decoding: log-likelihoods that are the forced alignment must give back the words that were said."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from softstore import Corpus, Store
from softstore.cli import build as command_line
from softstore.errors import (
    InvalidInputError,
    MissingDependencyError,
    NotFoundError,
)
from softstore.storage import open_storage
from tests.spoken_corpus import DIMENSIONS, PER_SPLIT, make_spoken_corpus
from trainer.checkpoint import save_model
from trainer.corpora.build import build
from trainer.corpora.synthetic import SyntheticSource
from trainer.decoding import recognise
from trainer.models import DNNConfig

IMPOSSIBLE = -30.0

Frames = Iterator[tuple[str, NDArray[np.float32]]]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Not to be changed."""
    return make_spoken_corpus(tmp_path_factory.mktemp("spoken") / "corpus")


def certain(corpus: Corpus, split: str) -> Frames:
    """Log-likelihoods that know the senone of every frame."""
    for utterance in corpus.scan(split=split):
        labels = utterance.labels()
        found = np.full((len(labels), corpus.class_count), IMPOSSIBLE, np.float32)
        found[np.arange(len(labels)), labels] = 0
        yield utterance.utterance_id, found


def texts(corpus: Corpus, split: str) -> dict[str, list[str]]:
    table = corpus.manifest.where(split=split)
    return {
        utterance_id: text.split()
        for utterance_id, text in zip(
            table["utterance_id"].to_pylist(), table["text"].to_pylist(), strict=True
        )
    }


def test_the_forced_alignment_gives_back_every_word(spoken: Corpus, tmp_path: Path) -> None:
    found = recognise(spoken, partial(certain, spoken), ["cv", "test"], tmp_path)
    for split, result in found.items():
        said = texts(spoken, split)
        assert result.heard == said
        assert (result.errors.utterances, result.errors.words) == (
            PER_SPLIT[split],
            sum(map(len, said.values())),
        )
        assert (result.errors.word_error_rate, result.errors.low, result.errors.high) == (0, 0, 0)


def test_of_synthetic_speech_every_word_but_for_those_that_sound_alike(tmp_path: Path) -> None:
    """A language model of eight sentences does not tell "to" from "two"."""
    build(SyntheticSource("tiny", 0), open_storage(tmp_path / "corpus", writable=True), senones=400)
    corpus = Corpus.open(tmp_path / "corpus")
    found = recognise(corpus, partial(certain, corpus), ["train", "cv", "test"], tmp_path)
    sounds = {word: set(found) for word, found in corpus.senones()["lexicon"].items()}
    for split, result in found.items():
        for utterance_id, said in texts(corpus, split).items():
            for word, heard in zip(said, result.heard[utterance_id], strict=True):
                assert sounds[word] & sounds[heard]
        assert result.errors.word_error_rate <= 5


def test_what_was_not_heard_is_not_guessed(spoken: Corpus, tmp_path: Path) -> None:
    def noise(split: str) -> Frames:
        random = np.random.default_rng(0)
        for utterance_id, matrix in certain(spoken, split):
            yield utterance_id, random.normal(scale=3, size=matrix.shape).astype(np.float32)

    errors = recognise(spoken, noise, ["test"], tmp_path)["test"].errors
    assert errors.word_error_rate > 50
    assert errors.low < errors.word_error_rate < errors.high
    wrong = errors.insertions + errors.deletions + errors.substitutions
    assert errors.word_error_rate == pytest.approx(100 * wrong / errors.words)


def test_a_graph_is_kept_and_used_again(spoken: Corpus, tmp_path: Path) -> None:
    first = recognise(spoken, partial(certain, spoken), ["cv"], tmp_path / "new")
    (kept,) = (tmp_path / "new").iterdir()
    before = kept.stat().st_ino, kept.stat().st_mtime_ns
    assert recognise(spoken, partial(certain, spoken), ["cv"], tmp_path / "new") == first
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in (tmp_path / "new").iterdir()] == [
        before
    ]


ARPA = """\\data\\
ngram 1={count}

\\1-grams:
{entries}

\\end\\
"""


def unigram(*words: str) -> str:
    entries = ["-99 <s>", "-1 </s>", *(f"-1 {word}" for word in words)]
    return ARPA.format(count=len(entries), entries="\n".join(entries))


def test_ones_own_language_model_decides_between_words_that_sound_alike(
    spoken: Corpus, tmp_path: Path
) -> None:
    arpa = tmp_path / "own.arpa"
    arpa.write_text(unigram("a", "at", "bat", "bats", "sat", "stab", "too", "unheard-of"))
    result = recognise(spoken, partial(certain, spoken), ["test"], tmp_path, arpa)["test"]
    said = texts(spoken, "test")
    assert result.heard == {
        utterance_id: [{"two": "too"}.get(word, word) for word in words]
        for utterance_id, words in said.items()
    }
    assert result.errors.substitutions == sum(words.count("two") for words in said.values()) > 0
    assert result.errors.insertions == result.errors.deletions == 0


def test_a_language_model_that_is_none_is_refused(spoken: Corpus, tmp_path: Path) -> None:
    arpa = tmp_path / "own.arpa"
    with pytest.raises(NotFoundError, match=r"no language model .*own\.arpa"):
        recognise(spoken, partial(certain, spoken), ["test"], tmp_path, arpa)
    for text in (b"", b"one two\n", b"\xff\xfe", unigram("a").partition("\\end")[0].encode()):
        arpa.write_bytes(text)
        with pytest.raises(InvalidInputError, match=r"own\.arpa is not a language model in the ARPA format"):
            recognise(spoken, partial(certain, spoken), ["test"], tmp_path, arpa)


def test_a_language_model_of_other_words_is_refused(spoken: Corpus, tmp_path: Path) -> None:
    arpa = tmp_path / "own.arpa"
    arpa.write_text(unigram("AT", "BAT"))
    with pytest.raises(InvalidInputError, match=r"own\.arpa knows none of the lexicon's words"):
        recognise(spoken, partial(certain, spoken), ["test"], tmp_path, arpa)
    arpa.write_text(unigram("at", "bat").replace("-1 </s>", "-1 bats"))
    with pytest.raises(InvalidInputError, match=r"own\.arpa has no sentence of the lexicon's words"):
        recognise(spoken, partial(certain, spoken), ["test"], tmp_path, arpa)


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command_line(), [str(argument) for argument in arguments])


def test_log_likelihoods_of_other_senones_are_refused(spoken: Corpus, tmp_path: Path) -> None:
    def narrow(split: str) -> Frames:
        return ((utterance_id, matrix[:, 1:]) for utterance_id, matrix in certain(spoken, split))

    with pytest.raises(InvalidInputError, match=rf"has {spoken.class_count} senones"):
        recognise(spoken, narrow, ["test"], tmp_path)


@pytest.fixture
def model(spoken: Corpus, tmp_path: Path) -> Path:
    """An untrained one."""
    config = DNNConfig(DIMENSIONS, spoken.class_count, context=0, transform_dim=8, layers=1, hidden=8)
    save_model(tmp_path / "model", config.build(), spoken.attributes.features or {}, {})
    return tmp_path / "model"


def test_the_command_tells_and_writes_word_errors(spoken: Corpus, model: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    evaluated = ("evaluate", "--model", model, "--store", spoken.url, "--split", "test", "--wer")
    found = command(*evaluated, "--json", figures)
    assert found.exit_code == 0, found.output
    assert "WER" in found.output
    assert "Tuned on cv" in found.output
    words = json.loads(figures.read_text())["words"]
    assert list(words) == ["test"]
    assert words["test"]["utterances"] == len(words["test"]["heard"]) == PER_SPLIT["test"]
    assert list((model / "decoding").glob("HCLG-*.fst"))


def test_the_command_refuses_in_a_sentence(spoken: Corpus, store: Store, model: Path) -> None:
    for arguments, said in (
        (("--store", spoken.url, "--arpa", "own.arpa"), "--arpa is the language model of --wer"),
        (("--store", store.url, "--wer"), "name the corpus it was made from"),
    ):
        found = command("evaluate", "--model", model, *arguments)
        assert isinstance(found.exception, InvalidInputError)
        assert said in str(found.exception)


def test_a_library_that_is_missing_is_named_with_its_extra(
    spoken: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaldilm", None)
    with pytest.raises(MissingDependencyError, match=r"need kaldilm.*softstore\[decoding\]"):
        recognise(spoken, partial(certain, spoken), ["test"], tmp_path)
