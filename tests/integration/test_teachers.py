"""Teachers of every kind over a corpus: what is stored is what they say, at T = 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softstore import Corpus, Store
from softstore import open as open_store
from softstore.codecs import Float16
from softstore.errors import ConflictError, InvalidInputError, StorageError
from softstore.generate import generate
from softstore.inference import Inference, ask
from softstore.storage import open_storage
from softstore.teacher import Teacher, load_teacher
from softstore.verify import verify
from tests.samples import CLASSES, DIMENSIONS, LENGTHS, LinearTeacher, make_corpus
from trainer.checkpoint import save_model
from trainer.models import LSTMP, LSTMPConfig

TOLERANCE = 4e-3
"""Of log-posteriors down to -20, in float16."""


def store_of(corpus: Corpus, teacher: Teacher, path: Path) -> Store:
    generate(corpus, teacher, open_storage(path, writable=True), Float16(), shard_frames=512, chunk_frames=64)
    return open_store(path)


def truth(corpus: Corpus, utterance_id: str, temperature: float = 1) -> Tensor:
    features = torch.from_numpy(corpus[utterance_id].features())
    return torch.log_softmax(features @ LinearTeacher().weights / temperature, dim=-1)


def check(store: Store, corpus: Corpus) -> None:
    for utterance_id in LENGTHS:
        found = store[utterance_id].log_posteriors()
        np.testing.assert_allclose(found, truth(corpus, utterance_id), atol=TOLERANCE, rtol=1e-3)


class Linear(nn.Module):
    """The same as a `LinearTeacher`, as a module whose logits are divided by T."""

    def __init__(self, temperature: float = 1) -> None:
        super().__init__()
        self.weights = nn.Parameter(LinearTeacher().weights)
        self.capture_temperature = temperature

    def forward(self, features: Tensor) -> Tensor:
        return (features @ self.weights) / self.capture_temperature


def module() -> Linear:
    return Linear()


def module_at_two() -> Linear:
    return Linear(2)


def teacher_at_four() -> Teacher:
    @dataclass
    class Hot(LinearTeacher):
        capture_temperature: float = 4

        def log_posteriors(self, features: Tensor) -> Tensor:
            return torch.log_softmax(features @ self.weights / 4, dim=-1)

    return Hot()


@pytest.mark.parametrize("factory", ["module", "module_at_two", "teacher_at_four"])
def test_a_factory_at_any_temperature_is_stored_at_one(tmp_path: Path, corpus: Corpus, factory: str) -> None:
    store = store_of(corpus, load_teacher(f"{__name__}:{factory}"), tmp_path / "store")
    check(store, corpus)


def test_an_exported_program_is_stored(tmp_path: Path, corpus: Corpus) -> None:
    frames = torch.export.Dim("frames", min=1)
    program = torch.export.export(
        Linear().eval(), (torch.zeros(100, DIMENSIONS),), dynamic_shapes=({0: frames},)
    )
    torch.export.save(program, tmp_path / "teacher.pt2")
    check(store_of(corpus, load_teacher(tmp_path / "teacher.pt2"), tmp_path / "store"), corpus)


def write_archive(path: Path, corpus: Corpus, temperature: float = 1, without: str | None = None) -> None:
    kaldiio = pytest.importorskip("kaldiio")
    pytest.importorskip("kaldi_native_io")
    # Kaldi's ids have no spaces.
    matrices = {name: truth(corpus, name, temperature).numpy() for name in SPOKEN if name != without}
    kaldiio.save_ark(str(path), matrices, scp=str(path.with_suffix(".scp")))
    if temperature != 1:
        path.with_name(f"{path.name}.json").write_text(json.dumps({"capture_temperature": temperature}))


SPOKEN = {name: frames for name, frames in LENGTHS.items() if " " not in name}


@pytest.fixture
def spoken(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path / "spoken", SPOKEN)


@pytest.mark.parametrize("name", ["posteriors.ark", "posteriors.scp"])
def test_posteriors_made_elsewhere_are_imported(tmp_path: Path, spoken: Corpus, name: str) -> None:
    write_archive(tmp_path / "posteriors.ark", spoken)
    store = store_of(spoken, load_teacher(tmp_path / name), tmp_path / "store")
    for utterance_id in SPOKEN:
        found = store[utterance_id].log_posteriors()
        np.testing.assert_allclose(found, truth(spoken, utterance_id), atol=TOLERANCE, rtol=1e-3)


def test_posteriors_captured_at_two_decode_to_those_at_one(tmp_path: Path, spoken: Corpus) -> None:
    write_archive(tmp_path / "hot.ark", spoken, temperature=2)
    teacher = load_teacher(tmp_path / "hot.ark")
    for utterance_id in SPOKEN:
        (exact,) = ask(teacher, [spoken[utterance_id]], CLASSES)
        torch.testing.assert_close(exact, truth(spoken, utterance_id), atol=2e-5, rtol=1e-5)
    store = store_of(spoken, teacher, tmp_path / "store")
    for utterance_id in SPOKEN:
        found = store[utterance_id].log_posteriors()
        np.testing.assert_allclose(found, truth(spoken, utterance_id), atol=TOLERANCE, rtol=1e-3)
    recorded = store.attributes.teacher
    assert recorded is not None
    assert recorded.description["capture_temperature"] == 2


def test_another_capture_temperature_is_another_teacher(tmp_path: Path, spoken: Corpus) -> None:
    write_archive(tmp_path / "posteriors.ark", spoken)
    store_of(spoken, load_teacher(tmp_path / "posteriors.ark"), tmp_path / "store")
    (tmp_path / "posteriors.ark.json").write_text('{"capture_temperature": 2}')
    with pytest.raises(ConflictError):
        store_of(spoken, load_teacher(tmp_path / "posteriors.ark"), tmp_path / "store")


def test_an_utterance_the_archive_lacks_is_named(tmp_path: Path, spoken: Corpus) -> None:
    write_archive(tmp_path / "posteriors.ark", spoken, without="c")
    with pytest.raises(InvalidInputError, match="no posteriors of utterance 'c'"):
        store_of(spoken, load_teacher(tmp_path / "posteriors.ark"), tmp_path / "store")


def test_verify_asks_an_archive_again(tmp_path: Path, spoken: Corpus) -> None:
    write_archive(tmp_path / "posteriors.ark", spoken, temperature=2)
    teacher = load_teacher(tmp_path / "posteriors.ark")
    store_of(spoken, teacher, tmp_path / "store")
    report = verify(open_storage(tmp_path / "store"), sample=5, teacher=teacher)
    assert report.sound
    assert report.checked.teacher


def test_a_trained_directory_is_found_and_batches(tmp_path: Path, corpus: Corpus) -> None:
    torch.manual_seed(0)
    model = LSTMP(LSTMPConfig(DIMENSIONS, CLASSES, layers=1, cells=16, projection=8))
    fingerprint = save_model(tmp_path / "teacher", model, {"kind": "random"}, {})
    teacher = load_teacher(tmp_path / "teacher", device="cpu")
    assert teacher.fingerprint == fingerprint
    source = Inference(corpus, teacher, batch_frames=1000)
    utterances = [corpus[name] for name in LENGTHS]
    together = source.log_posteriors_of(utterances)
    for utterance, found in zip(utterances, together, strict=True):
        alone = source.log_posteriors(utterance)
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(len(found)))


@dataclass
class Failing(LinearTeacher):
    """Fails on utterances of one length; takes batches."""

    error: BaseException = field(default_factory=lambda: RuntimeError("no\n such\n  kernel"))
    length: int = LENGTHS["c"]

    def log_posteriors(self, features: Tensor) -> Tensor:
        if len(features) == self.length:
            raise self.error
        return super().log_posteriors(features)

    def log_posteriors_batch(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        return [self.log_posteriors(one) for one in features]


@pytest.mark.parametrize("together", [False, True])
def test_an_utterance_the_teacher_fails_on_is_named(corpus: Corpus, together: bool) -> None:
    utterances = [corpus[name] for name in (["a", "b", "c", "d"] if together else ["c"])]
    with pytest.raises(InvalidInputError) as raised:
        Inference(corpus, Failing()).log_posteriors_of(utterances)
    assert str(raised.value) == "The teacher failed on utterance 'c': RuntimeError: no such kernel"


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    "error", [MemoryError(), torch.cuda.OutOfMemoryError("2 GiB"), StorageError("gone"), KeyboardInterrupt()]
)
def test_what_is_not_the_teachers_fault_passes(corpus: Corpus, error: BaseException, together: bool) -> None:
    utterances = [corpus[name] for name in (["a", "c"] if together else ["c"])]
    with pytest.raises(type(error)):
        Inference(corpus, Failing(error=error)).log_posteriors_of(utterances)


class OnlyTogether(LinearTeacher):
    """Fails on batches, on none of their utterances."""

    def log_posteriors_batch(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        return list(features)[1:]


def test_a_batch_that_fails_as_such_names_its_utterances(corpus: Corpus) -> None:
    with pytest.raises(InvalidInputError, match="utterances 'a', 'b' together: ValueError: 1 answers to 2"):
        Inference(corpus, OnlyTogether()).log_posteriors_of([corpus["a"], corpus["b"]])


@dataclass
class Elsewhere(LinearTeacher):
    """Answers with something that is no tensor."""

    def log_posteriors(self, features: Tensor) -> Tensor:
        return super().log_posteriors(features).numpy()  # type: ignore[return-value]


def test_an_answer_that_is_no_tensor_is_named(corpus: Corpus) -> None:
    with pytest.raises(
        InvalidInputError, match="utterance 'a': TypeError: it returned ndarray, not a tensor"
    ):
        Inference(corpus, Elsewhere()).log_posteriors(corpus["a"])


@pytest.mark.parametrize("temperature", [0.0, -2.0, float("nan"), True, "2"])
def test_a_temperature_that_makes_no_sense_is_refused(corpus: Corpus, temperature: object) -> None:
    teacher = LinearTeacher()
    teacher.capture_temperature = temperature  # type: ignore[attr-defined]
    with pytest.raises(InvalidInputError, match="must be a finite number above 0"):
        Inference(corpus, teacher).log_posteriors(corpus["a"])
