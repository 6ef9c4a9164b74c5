"""`softstore plan` against what generation then does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from softstore import Corpus, Fidelity, Store, sampling
from softstore.cli import build
from softstore.codecs import Codec, FittedToSample, Float16, TopK
from softstore.errors import ConflictError, InvalidInputError
from softstore.forecast import Forecast, forecast
from softstore.frames import Frames
from softstore.generate import generate
from softstore.inventory import inventory
from softstore.storage import Storage, open_storage
from tests.samples import LinearTeacher, make_corpus

TEACHER = "tests.samples:LinearTeacher"
SHARD_FRAMES, CHUNK_FRAMES = 2048, 64
FITTED = Fidelity(max_mean_kl=0.05)
LENGTHS = {f"utterance-{n:03}": 40 + 61 * n % 300 for n in range(120)}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("forecast") / "corpus", LENGTHS)


def foretold(
    corpus: Corpus, codec: Codec | FittedToSample, storage: Storage | None = None, sample_frames: int = 3000
) -> Forecast:
    return forecast(
        corpus,
        LinearTeacher(),
        codec,
        shard_frames=SHARD_FRAMES,
        chunk_frames=CHUNK_FRAMES,
        sample_frames=sample_frames,
        storage=storage,
    )


def generated(corpus: Corpus, codec: Codec | FittedToSample, path: Path) -> Store:
    storage = open_storage(path, writable=True)
    generate(corpus, LinearTeacher(), storage, codec, shard_frames=SHARD_FRAMES, chunk_frames=CHUNK_FRAMES)
    return Store(Frames(storage))


@pytest.fixture(scope="module")
def fitted(large: Corpus) -> Forecast:
    return foretold(large, FITTED)


def bytes_in(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


@pytest.mark.parametrize("codec", [FITTED, TopK(k=16), Float16()], ids=lambda c: type(c).__name__)
def test_what_is_foretold_comes_true(tmp_path: Path, large: Corpus, codec: Codec | FittedToSample) -> None:
    found = foretold(large, codec)
    store = generated(large, codec, tmp_path / "store")
    held = inventory(store.frames)
    assert (found.present, found.utterances, found.frames) == (0, len(LENGTHS), sum(LENGTHS.values()))
    assert found.shards == held.shards
    assert found.bytes == pytest.approx(bytes_in(tmp_path / "store"), rel=0.15)
    assert found.target_bytes_per_frame == pytest.approx(held.target_bytes_per_frame, rel=0.15)
    assert found.codec_bytes == pytest.approx(held.codec_bytes, rel=0.15)
    assert found.track_bytes == pytest.approx(held.track_bytes, rel=0.15)
    for expected, measured in zip(found.kl, store.certificate().kl, strict=True):
        assert expected.temperature == measured.temperature
        assert expected.mean == pytest.approx(measured.mean, rel=0.25)
        assert expected.mean <= expected.p999 <= expected.max


def test_the_trial_is_made_of_utterances_that_the_codec_does_not_know(
    large: Corpus, fitted: Forecast
) -> None:
    assert fitted.unknown
    assert 3000 <= fitted.sample_frames < 3400
    assert fitted.fit_seconds > 0
    assert fitted.frames_per_second > 0
    assert foretold(large, TopK(k=16)).fit_seconds == 0


def test_a_corpus_of_one_utterance(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", {"alone": 400})
    found = foretold(corpus, FITTED)
    assert (found.utterances, found.shards, found.sample_frames, found.unknown) == (1, 1, 400, False)


def test_more_workers_share_everything_but_the_fitting(fitted: Forecast) -> None:
    alone, together = (fitted.seconds(workers) - fitted.fit_seconds for workers in (1, 4))
    assert together == pytest.approx(alone / 4)


def test_what_is_stored_already_is_not_counted_again(tmp_path: Path, large: Corpus) -> None:
    some = make_corpus(tmp_path / "some", dict(list(LENGTHS.items())[:70]))
    store = generated(some, FITTED, tmp_path / "store")
    before = bytes_in(tmp_path / "store")
    found = foretold(large, FITTED, store.frames.storage)
    assert (found.present, found.utterances, found.codec_bytes, found.fit_seconds) == (70, 50, 0, 0)
    generated(large, FITTED, tmp_path / "store")
    after = inventory(Frames(store.frames.storage))
    assert found.shards == after.shards - inventory(store.frames).shards
    assert found.bytes == pytest.approx(bytes_in(tmp_path / "store") - before, rel=0.15)
    nothing = foretold(large, FITTED, store.frames.storage)
    assert (nothing.present, nothing.utterances, nothing.bytes, nothing.seconds()) == (120, 0, 0, 0)


def test_a_few_missing_ones_are_found_where_only_others_are_drawn_from(
    tmp_path: Path, large: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_CANDIDATES", 50)
    assert sampling.sampling_order(60).tolist() != sampling.sampling_order(50).tolist()
    assert max(sampling.sampling_order(1000)) == 980
    some = make_corpus(tmp_path / "some", dict(list(LENGTHS.items())[:-1]))
    store = generated(some, TopK(k=16), tmp_path / "store")
    found = foretold(large, TopK(k=16), store.frames.storage)
    assert (found.present, found.utterances, found.sample_utterances) == (119, 1, 1)
    assert found.sample_frames == found.frames == list(LENGTHS.values())[-1]


def test_what_generation_would_refuse_is_refused(tmp_path: Path, large: Corpus) -> None:
    store = generated(large, TopK(k=16), tmp_path / "store")
    with pytest.raises(ConflictError, match="another codec"):
        foretold(large, TopK(k=8), store.frames.storage)
    with pytest.raises(InvalidInputError, match="cannot be cut into chunks"):
        forecast(large, LinearTeacher(), TopK(k=8), shard_frames=100, chunk_frames=64)
    with pytest.raises(InvalidInputError, match="a shard has room for 256"):
        forecast(large, LinearTeacher(), TopK(k=8), shard_frames=256, chunk_frames=64)


def softstore(*arguments: str | Path) -> Result:
    found = CliRunner().invoke(build(), [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    return found


def test_the_command_says_it_and_writes_nothing(tmp_path: Path, large: Corpus) -> None:
    size = ("--sample-frames", "1000", "--shard-frames", "2048", "--chunk-frames", "64")
    options = ("--teacher", TEACHER, "--codec", "topk", "--k", "16", *size)
    planned = ("plan", large.url, *options, "--store", tmp_path / "store", "--workers", "8")
    found = json.loads(softstore(*planned, "--json").stdout)
    assert found["seconds_on_workers"] == pytest.approx(found["seconds"] / 8)
    assert [row["temperature"] for row in found["kl"]] == [1, 2, 4, 8]
    said = softstore(*planned).output
    for text in (
        f"{len(LENGTHS)} utterances, {sum(LENGTHS.values()):,} frames",
        f"in {found['shards']} shards; 0 utterances are stored already",
        "on 8 workers",
        "manifest and metadata",
        "not fitted to",
    ):
        assert text in said
    assert not (tmp_path / "store").exists()
    generated(large, TopK(k=16), tmp_path / "store")
    assert softstore(*planned).output == f"Nothing to do: all {len(LENGTHS)} utterances are stored already.\n"
