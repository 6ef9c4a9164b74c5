"""Stores of the transform codec: what is asked is kept, resumed, certified, and taught from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch

import softstore
from softstore import Corpus, Fidelity, Store
from softstore.codecs import Codec, FittedToSample, Parameters, TopK, Transform
from softstore.codecs.unpacked import OVERFLOW_ROWS
from softstore.errors import ConflictError
from softstore.format import NUM_OVERFLOW
from softstore.frames import Frames
from softstore.generate import generate
from softstore.softening import CERTIFICATE_TEMPERATURES, kl_divergence, log_soften
from softstore.storage import open_storage
from softstore.verify import verify
from tests.document_reader import DocumentReader
from tests.samples import CLASSES, LENGTHS, LinearTeacher, make_corpus, make_store
from trainer.evaluation import blocks
from trainer.examples import Example, open_examples
from trainer.loading import StreamBatches
from trainer.models import DNN, DNNConfig

BOUNDED = Parameters(step=16.0, refined=1, max_kl=0.01)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("transform") / "corpus", LENGTHS)


@pytest.fixture(scope="module")
def bounded(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("transform") / "bounded", corpus, BOUNDED)


def truth(corpus: Corpus, utterance_id: str) -> torch.Tensor:
    return LinearTeacher().log_posteriors(torch.from_numpy(corpus[utterance_id].features()))


def test_every_frame_of_the_store_is_within_the_bound(corpus: Corpus, bounded: Store) -> None:
    escalated = bounded.utterances(pc.field(NUM_OVERFLOW) > 0)
    assert len(escalated) > 0
    for utterance in bounded.scan():
        exact = truth(corpus, utterance.utterance_id)
        for temperature in CERTIFICATE_TEMPERATURES:
            found = torch.from_numpy(utterance.log_posteriors(temperature))
            kl = kl_divergence(log_soften(exact, temperature), found)
            assert float(kl.max()) <= 0.01 + 1e-5
            assert utterance.row[f"max_kl_t{temperature:g}"] == pytest.approx(float(kl.max()), abs=1e-5)
    assert all(row.max <= 0.01 for row in bounded.certificate().kl)
    assert verify(bounded.frames.storage, sample=8).sound


def test_a_shard_has_room_for_every_frame_to_be_exact(tmp_path: Path) -> None:
    classes, lengths = 300, {"a": 60, "b": 50, "c": 64, "d": 7}
    random = np.random.default_rng(0)
    exact = {
        name: torch.log_softmax(torch.from_numpy(random.normal(size=(frames, classes))).float(), dim=-1)
        for name, frames in lengths.items()
    }
    codec = Parameters(step=16, refined=1, max_kl=1e-5).fit(list(exact.values()))
    with softstore.create(
        tmp_path / "store", class_count=classes, codec=codec, teacher="mine", shard_frames=64, chunk_frames=16
    ) as recorder:
        for name, log_posteriors in exact.items():
            recorder.add(name, log_posteriors)
    store = softstore.open(tmp_path / "store")
    assert store.manifest.shards == [0, 1, 2, 3]
    by_document = DocumentReader(tmp_path / "store")
    for utterance in store.scan():
        wanted = exact[utterance.utterance_id].numpy()
        assert utterance.row[NUM_OVERFLOW] == 2 * utterance.num_frames
        np.testing.assert_allclose(utterance.log_posteriors(), wanted, atol=1e-4)
        np.testing.assert_allclose(utterance.log_posteriors(1, 3, 6), wanted[3:6], atol=1e-4)
        found = by_document.log_posteriors(utterance.utterance_id)
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    report = verify(open_storage(store.url), sample=8)
    assert (report.faults, report.orphans) == ([], [])


def test_the_mean_that_was_asked_for_is_in_the_certificate(corpus: Corpus, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", corpus, Fidelity(0.02))
    assert all(row.mean <= 0.02 for row in store.certificate().kl)
    assert isinstance(store.codec, Transform)
    assert store.codec.asked == {"max_mean_kl": 0.02, "max_kl": None}


def test_running_again_keeps_the_codec_that_was_fitted(tmp_path: Path) -> None:
    some = make_corpus(tmp_path / "corpus", {"a": 200, "b": 100})
    first = make_store(tmp_path / "store", some, Fidelity(0.02))
    before = first["a"].posteriors(2.0)
    more = make_corpus(tmp_path / "more", {"a": 200, "b": 100, "c": 300})
    again = make_store(tmp_path / "store", more, Fidelity(0.02))
    assert len(again) == 3
    np.testing.assert_array_equal(again["a"].posteriors(2.0), before)
    np.testing.assert_array_equal(again.codec.arrays()["basis"], first.codec.arrays()["basis"])


@pytest.mark.parametrize("other", [Fidelity(0.01), Parameters(step=2.0), TopK(k=8)], ids=repr)
def test_what_was_not_asked_for_before_is_refused(
    bounded: Store, corpus: Corpus, other: FittedToSample | TopK
) -> None:
    storage = open_storage(bounded.url, writable=True)
    with pytest.raises(ConflictError, match="use what it was made with"):
        generate(corpus, LinearTeacher(), storage, other, shard_frames=512, chunk_frames=64)


class Overtaken:
    """While this fits a codec, another job begins the same store with another codec, and finishes."""

    def __init__(self, corpus: Corpus, path: Path) -> None:
        self.corpus = corpus
        self.path = path

    def asked(self) -> dict[str, Any]:
        return Fidelity(0.02).asked()

    def fit(self, sample: Sequence[torch.Tensor]) -> Codec:
        make_store(self.path, self.corpus, Fidelity(0.02))
        # Another sample is fitted differently, and asked for the same.
        return Fidelity(0.02).fit([sample[0]])


def test_two_jobs_that_begin_one_store_end_with_one_codec(tmp_path: Path) -> None:
    first = make_corpus(tmp_path / "first", {"a": 200, "b": 100})
    more = make_corpus(tmp_path / "more", {"a": 200, "b": 100, "c": 300})
    generate(
        more,
        LinearTeacher(),
        open_storage(tmp_path / "store", writable=True),
        Overtaken(first, tmp_path / "store"),
        shard_frames=512,
        chunk_frames=64,
    )
    store = softstore.open(tmp_path / "store")
    assert len(store) == 3
    for utterance in store.scan():
        found = torch.from_numpy(utterance.log_posteriors(2.0))
        kl = kl_divergence(log_soften(truth(more, utterance.utterance_id), 2.0), found)
        assert float(kl.mean()) == pytest.approx(utterance.row["mean_kl_t2"], abs=1e-4)
    assert verify(store.frames.storage).sound


def test_a_recorder_fits_the_codec_to_its_first_utterances(tmp_path: Path, corpus: Corpus) -> None:
    make = partial(softstore.create, class_count=CLASSES, teacher="mine", shard_frames=512, chunk_frames=64)
    with make(tmp_path / "store") as recorder:
        recorder.add("a", truth(corpus, "a"), speaker="x")
        assert "a" in recorder
        recorder.add("b", truth(corpus, "b"))
    with make(tmp_path / "store") as recorder:
        assert "a" in recorder
        recorder.add("c", truth(corpus, "c"))
    store = softstore.open(tmp_path / "store")
    assert store["a"].speaker == "x"
    for utterance in store.scan():
        wanted = log_soften(truth(corpus, utterance.utterance_id), 2.0)
        kl = kl_divergence(wanted, torch.from_numpy(utterance.log_posteriors(2.0)))
        assert float(kl.mean()) < 0.02
    with pytest.raises(ConflictError):
        make(tmp_path / "store", codec=Fidelity(0.05))


def test_a_student_is_taught_what_the_store_says(bounded: Store) -> None:
    """Utterances cut into streams of chunks, and joined into blocks, escalated frames among them."""
    examples = open_examples(bounded.url)
    taught = list(examples.in_order("train", targets=True))
    assert any(OVERFLOW_ROWS in example.encoded for example in taught)
    delay, streams, chunk = 3, 3, 16
    found: dict[str, list[torch.Tensor]] = {}
    seen = dict.fromkeys(range(streams), "")
    batches = StreamBatches(
        examples, "train", streams=streams, chunk_frames=chunk, delay=delay, seed=0, targets=True
    )
    for batch in batches:
        soften = examples.softener(batch.encoded, batch.rows[batch.mask])
        assert soften is not None
        dense = torch.empty(chunk, streams, CLASSES)
        dense[batch.mask] = soften(2.0)
        present = iter(batch.utterance_ids)
        for stream in range(streams):
            if batch.mask[:, stream].any() or batch.features[:, stream].any():
                seen[stream] = next(present)
                found.setdefault(seen[stream], []).append(dense[batch.mask[:, stream], stream])
    for example in taught:
        expected = bounded[example.utterance_id].log_posteriors(2.0)
        np.testing.assert_allclose(torch.cat(found[example.utterance_id]).numpy(), expected, atol=1e-4)


def test_evaluation_joins_utterances(bounded: Store) -> None:
    examples = open_examples(bounded.url)
    model = DNN(DNNConfig(examples.input_dim, CLASSES, context=1, transform_dim=8, layers=1, hidden=8))
    everything: list[Example] = list(examples.in_order("train", targets=True))
    assert examples.codec is not None
    for block in blocks(model, everything, examples.codec):
        dense = examples.codec.decode(block.unpacked, CLASSES)
        for number, utterance_id in enumerate(block.utterance_ids):
            rows = dense[block.utterance == number]
            whole = bounded[utterance_id].log_posteriors()
            if len(rows) == len(whole):
                np.testing.assert_allclose(rows.numpy(), whole, atol=1e-4)


def test_a_damaged_codec_array_is_found_on_opening(corpus: Corpus, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", corpus, Fidelity(0.05))
    chunk = next((tmp_path / "store" / "codec").glob("basis-*/c/*/*"))
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(softstore.CorruptDataError):
        Store(Frames(open_storage(store.url)))
