"""Recoding: what a new store keeps of an old one, what it says it lost, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from softstore import Corpus, Store
from softstore.cli import build
from softstore.codecs import Codec, Fidelity, FittedToSample, Float16, Float32, Parameters, TopK
from softstore.copy import copy
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError, SoftstoreError
from softstore.filling import Summary
from softstore.format import Complete
from softstore.frames import Frames
from softstore.generate import generate
from softstore.progress import Phase, Standing
from softstore.recode import recode
from softstore.softening import kl_divergence, log_soften
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from softstore.writer import update_attributes
from tests.samples import LENGTHS, LinearTeacher, make_corpus, make_store
from tests.watched import KilledError, clone, contents, watched
from tests.web_server import web_server

COARSE = Parameters(step=1.0, refined=4)
TEMPERATURES = (1.0, 2.0, 4.0, 8.0)


def empty() -> Storage:
    return open_storage(f"memory://{uuid4().hex}")


def opened(storage: Storage) -> Store:
    return Store(Frames(storage))


def recoded(source: Store, codec: Codec | FittedToSample) -> Store:
    place = empty()
    recode(source, place, codec)
    return opened(place)


def generated(corpus: Corpus, codec: Codec | FittedToSample) -> Store:
    place = empty()
    generate(corpus, LinearTeacher(), place, codec, shard_frames=512, chunk_frames=64)
    return opened(place)


@pytest.fixture(scope="module")
def exact(corpus: Corpus) -> Store:
    """What the teacher said, as float32; not to be changed."""
    return generated(corpus, Float32())


@pytest.fixture(scope="module")
def coarse(exact: Store) -> Store:
    """A transform store of that."""
    return recoded(exact, COARSE)


def test_an_exact_source_gives_what_the_teacher_gives(corpus: Corpus, coarse: Store) -> None:
    direct = generated(corpus, COARSE)
    assert coarse.attributes.codec == direct.attributes.codec
    assert coarse.attributes.tracks == direct.attributes.tracks
    for ours, theirs in zip(coarse.certificate().kl, direct.certificate().kl, strict=True):
        assert ours.mean == pytest.approx(theirs.mean, rel=0.01)
        assert ours.max == pytest.approx(theirs.max, rel=0.1)
    apart = [
        np.abs(utterance.posteriors() - direct[utterance.utterance_id].posteriors()).mean()
        for utterance in coarse.scan()
    ]
    # Rounding moves a coefficient to the next step here and there.
    assert np.mean(apart) < 1e-5


def test_everything_but_the_targets_travels_along(exact: Store, coarse: Store) -> None:
    assert coarse.manifest.table["utterance_id"].to_pylist() == list(LENGTHS)
    assert coarse.attributes.teacher == exact.attributes.teacher
    assert coarse.attributes.features == exact.attributes.features
    assert verify(coarse.frames.storage).sound
    own = ["speaker", "split", "text", "snr_db", "num_frames", "features_crc32c"]
    for utterance in coarse.scan():
        source = exact[utterance.utterance_id]
        np.testing.assert_array_equal(utterance.read("features"), source.read("features"))
        np.testing.assert_array_equal(utterance.labels(), source.labels())
        assert [utterance.row[name] for name in own] == [source.row[name] for name in own]


def test_the_certificate_is_against_the_source_and_the_attributes_say_so(exact: Store, coarse: Store) -> None:
    half = recoded(coarse, Float16())
    for utterance in half.scan():
        truth = torch.from_numpy(coarse[utterance.utterance_id].log_posteriors())
        for temperature in TEMPERATURES:
            found = torch.from_numpy(utterance.log_posteriors(temperature))
            kl = kl_divergence(log_soften(truth, temperature), found)
            assert kl.max() == pytest.approx(utterance.row[f"max_kl_t{temperature:g}"], abs=1e-6)
    first, second = half.attributes.recoded_from
    assert [first] == coarse.attributes.recoded_from
    assert (first.codec, second.codec) == (exact.attributes.codec, coarse.attributes.codec)
    assert second.codec_arrays == coarse.attributes.codec_arrays
    for kept, said in zip(second.certificate, coarse.certificate().kl, strict=True):
        assert (kept.temperature, kept.mean, kept.p999, kept.max) == (
            said.temperature,
            said.mean,
            said.p999,
            said.max,
        )
    assert not exact.attributes.recoded_from
    assert max(row.max for row in half.certificate().kl) < min(row.mean for row in second.certificate)


def test_columns_of_escalated_frames_are_the_new_stores_own(exact: Store) -> None:
    bounded = recoded(exact, Parameters(step=4.0, refined=2, max_kl=0.05))
    assert max(row.max for row in bounded.certificate().kl) <= 0.05
    assert sum(bounded.manifest.table["num_overflow"].to_pylist()) > 0
    assert "num_overflow" not in recoded(bounded, Float16()).manifest.table.column_names
    again = recoded(bounded, Parameters(step=4.0, refined=2, max_kl=0.02))
    assert max(row.max for row in again.certificate().kl) <= 0.02
    assert verify(again.frames.storage).sound


def test_of_topk_what_decodes_at_temperature_1_is_taken(store: Store) -> None:
    kept = recoded(store, Float32())
    softened = torch.from_numpy(store["b"].log_posteriors())
    for temperature in TEMPERATURES:
        np.testing.assert_allclose(
            kept["b"].log_posteriors(temperature), log_soften(softened, temperature), atol=1e-4
        )
    assert max(row.max for row in kept.certificate().kl) < 1e-5


def test_stopped_anywhere_it_ends_as_if_it_had_not_been(coarse: Store) -> None:
    whole, backend = watched(empty())
    recode(coarse, whole, Float16())
    for dies_at in range(2, backend.writes, 4):
        place = empty()
        dying, _ = watched(place, dies_at=dies_at)
        with pytest.raises(KilledError):
            recode(coarse, dying, Float16())
        published = len(opened(place)) if place.exists("zarr.json") else 0
        done = recode(coarse, place, Float16())
        # What had been decided is published before the second run looks.
        assert done.present >= published
        assert done.utterances + done.present == len(LENGTHS)
        assert contents(place).keys() == contents(whole).keys()
        assert verify(place).sound
        found, expected = (opened(storage).attributes for storage in (place, whole))
        assert found.model_copy(update={"runs": expected.runs}) == expected
        assert opened(place).manifest.table.equals(opened(whole).manifest.table)


def test_a_second_run_writes_nothing_and_fits_nothing(exact: Store, coarse: Store) -> None:
    watching, backend = watched(coarse.frames.storage)
    done = recode(exact, watching, COARSE)
    assert (done.utterances, done.shards, done.present) == (0, 0, len(LENGTHS))
    assert backend.writes == 0


def test_what_the_source_has_got_since_is_added(corpus: Corpus, tmp_path: Path) -> None:
    source, place, mirror = empty(), empty(), empty()
    few = make_corpus(tmp_path / "few", {"a": 100, "b": 300})
    for made_of, written in ((few, 2), (corpus, len(LENGTHS) - 2)):
        generate(made_of, LinearTeacher(), source, TopK(16), shard_frames=512, chunk_frames=64)
        assert recode(opened(source), place, Float16()).utterances == written
        (generation,) = opened(place).attributes.recoded_from
        assert [row.mean for row in generation.certificate] == [
            row.mean for row in opened(source).certificate().kl
        ]
        copy(place, mirror)
        assert contents(mirror) == contents(place)


def test_an_unfinished_source_is_refused(exact: Store) -> None:
    begun = clone(exact.frames.storage, f"memory://{uuid4().hex}")
    update_attributes(begun, {"complete": None})
    with pytest.raises(ConflictError, match="is unfinished"):
        recode(opened(begun), empty(), Float16())
    holed = clone(exact.frames.storage, f"memory://{uuid4().hex}")
    first = int((exact.manifest.table["shard"].to_numpy() == 0).sum())
    complete = Complete(shards=1, utterances=first, frames=400)
    update_attributes(holed, {"complete": complete, "runs": []})
    holed.delete("manifest/000001.parquet")
    with pytest.raises(ConflictError, match="is unfinished"):
        recode(opened(holed), empty(), Float16())


def test_damage_of_the_source_stops_it_and_what_was_whole_is_kept(exact: Store) -> None:
    source, place = clone(exact.frames.storage, f"memory://{uuid4().hex}"), empty()
    path = "targets/log_posteriors/c/1/0"
    data = bytearray(source.get(path))
    data[len(data) // 2] ^= 1
    source.put(path, bytes(data))
    with pytest.raises(CorruptDataError):
        recode(opened(source), place, Float16())
    assert opened(place).manifest.shards == [0]
    recode(exact, place, Float16())
    assert len(opened(place)) == len(LENGTHS)


def test_another_place_is_named_where_this_one_is_wrong(
    tmp_path: Path, corpus: Corpus, exact: Store, coarse: Store
) -> None:
    for place in (exact.frames.storage, Storage(f"{exact.url}/inside", empty().backend)):
        with pytest.raises(InvalidInputError, match="lies in the store"):
            recode(exact, place, Float16())
    halves = recoded(coarse, Float16())
    with pytest.raises(ConflictError, match=r"another source .*transform.*float32"):
        recode(exact, halves.frames.storage, Float16())
    with pytest.raises(ConflictError, match="another codec"):
        recode(coarse, halves.frames.storage, TopK(16))
    with pytest.raises(ConflictError, match="was made for"):
        recode(exact, coarse.frames.storage, Fidelity(0.1))
    with pytest.raises(ConflictError, match=r"another source .*stored the teacher"):
        recode(exact, generated(corpus, Float16()).frames.storage, Float16())
    with pytest.raises(ConflictError, match=r"another source .*now the teacher"):
        generate(corpus, LinearTeacher(), halves.frames.storage, Float16())
    other = generated_by_another(corpus)
    with pytest.raises(ConflictError, match="another teacher"):
        recode(other, recoded(exact, Float16()).frames.storage, Float16())
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConflictError, match="not empty"):
        recode(exact, open_storage(tmp_path), Float16())
    with pytest.raises(InvalidInputError, match="has room for 256"):
        recode(exact, empty(), Float16(), shard_frames=256)
    with pytest.raises(InvalidInputError, match="cannot be cut"):
        recode(exact, empty(), Float16(), shard_frames=500)


def generated_by_another(corpus: Corpus) -> Store:
    place = empty()
    generate(corpus, LinearTeacher(seed=1), place, Float32(), shard_frames=512, chunk_frames=64)
    return opened(place)


def test_a_teacher_is_not_held_against_a_certificate_that_is_not_about_it(coarse: Store) -> None:
    with pytest.raises(InvalidInputError, match="was recoded"):
        verify(coarse.frames.storage, teacher=LinearTeacher())


def softstore(*arguments: str | Path) -> str:
    """What the command prints, in one line."""
    found = CliRunner().invoke(build(), [str(argument) for argument in arguments])
    if isinstance(found.exception, SoftstoreError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return " ".join(found.output.split())


def test_the_command_reads_over_http_and_info_shows_both_losses(tmp_path: Path, corpus: Corpus) -> None:
    source = make_store(tmp_path / "store", corpus, Float16())
    small, again = tmp_path / "small", tmp_path / "again"
    with web_server(tmp_path, token="secret") as url:
        arguments = ("recode", f"{url}/store", small, "--step", "1", "--k", "4", "--chunk-frames", "128")
        output = softstore(*arguments, "--token", "secret")
        assert f"Stored {len(LENGTHS)} utterances" in output
        assert "Nothing to do" in softstore(*arguments, "--token", "secret")
    assert url.encode() not in (small / "zarr.json").read_bytes()
    assert "Loss of generation 1 (float16): KL(teacher ‖ generation 1)" in output
    assert "Certificate: KL(generation 1 ‖ stored)" in output
    assert "KL has no triangle inequality" in output
    assert "T = 1, its tail" not in output
    found = json.loads(softstore("info", small, "--json"))
    assert (found["chunk_frames"], found["shard_frames"]) == (128, 512)
    assert found["certificate"]["against"] == "source"
    (generation,) = found["recoded_from"]
    assert generation["certificate"][1]["mean"] == source.certificate().kl[1].mean
    assert json.loads(softstore("info", source.url, "--json"))["certificate"]["against"] == "teacher"
    softstore("recode", small, again, "--codec", "topk", "--k", "8")
    warned = softstore("recode", again, tmp_path / "last", "--codec", "uint8")
    assert "A topk store is taken as it decodes at T = 1" in warned
    assert "Loss of generation 3 (topk): KL(generation 2 ‖ generation 3)" in warned
    assert "Of generation 3 only what decodes at T = 1 was taken" in warned


def test_a_summary_says_what_was_done(exact: Store) -> None:
    calls: list[Standing] = []
    storage = empty()
    done = recode(exact, storage, Float16(), progress=calls.append)
    frames, shards = sum(LENGTHS.values()), len(exact.manifest.shards)
    size = sum(len(data) for path, data in contents(storage).items() if not path.endswith("zarr.json"))
    assert done == Summary(len(LENGTHS), frames, shards, size, seconds=done.seconds)
    assert [call.phase for call in calls[:2]] == [Phase.PLANNING, Phase.RUNNING]
    last = calls[-1]
    assert last.phase is Phase.DONE
    assert (last.utterances, last.frames, last.shards, last.bytes) == (len(LENGTHS), frames, shards, size)
    assert (last.total_utterances, last.total_frames, last.total_shards) == (len(LENGTHS), frames, shards)
    counted = [call.frames for call in calls]
    assert counted == sorted(counted)
    assert set(np.cumsum(list(LENGTHS.values())).tolist()) <= set(counted)
