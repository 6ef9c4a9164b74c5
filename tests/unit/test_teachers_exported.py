"""Exported programs: they compute what the module did, and nothing in a file can do anything else."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softstore.errors import CorruptDataError, FormatError, InvalidInputError, SoftstoreError
from softstore.teacher import load_teacher

Change = Callable[[str, bytes], bytes]


class Net(nn.Module):
    """A bit of everything an acoustic model is made of, sizes of its input among them."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.register_buffer("mean", torch.randn(4), persistent=False)
        self.convolution = nn.Conv1d(4, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.first = nn.Linear(8, 16)
        self.second = nn.Linear(8, 5)
        self.mean: Tensor

    def forward(self, features: Tensor) -> Tensor:
        with torch.no_grad():
            x = (features - self.mean) * torch.tensor(2.0)
        x = self.norm(self.convolution(x.t()[None])).relu_()[0].t()
        x = self.attention(x[None])[0]
        left, right = self.first(x).chunk(2, dim=-1)
        x = nn.functional.gelu(left, approximate="tanh") * right.sigmoid()
        frames = features.shape[0]
        position = torch.arange(frames, device=features.device) / (2 * frames + 1)
        logits: Tensor = self.second(x) + position[:, None]
        return logits.masked_fill(logits < -1e3, -torch.inf)


ANY_LENGTH = torch.export.Dim("frames", min=1)


def export(path: Path, module: nn.Module, length: Any = ANY_LENGTH, frames: int = 30) -> Path:
    """Saves a program for features (frames, 4); ``length`` as torch.export has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (torch.randn(frames, 4),), dynamic_shapes=({0: length},))
        torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("exported") / "teacher.pt2", Net().eval())


def rewritten(path: Path, target: Path, change: Change) -> Path:
    """The archive with changed members; a checksum is made anew for each."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name.partition("/")[2], old.read(name)))
    return target


def with_graph(path: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    def changed(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        program = json.loads(data)
        change(program)
        return json.dumps(program).encode()

    return rewritten(path, target, changed)


@pytest.mark.parametrize("frames", [1, 2, 30, 177])
def test_it_computes_what_the_module_does_at_any_length(saved: Path, frames: int) -> None:
    features = torch.randn(frames, 4)
    teacher = load_teacher(saved)
    with torch.inference_mode():
        torch.testing.assert_close(teacher.log_posteriors(features), Net().eval()(features))
    assert teacher.class_count == 5


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, 2, bidirectional=True)
        self.output = nn.Linear(12, 5)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.output(self.lstm(features[:, None])[0][:, 0])
        return logits


def test_one_exported_for_a_single_length_says_so_at_another(tmp_path: Path) -> None:
    module = Recurrent().eval()
    teacher = load_teacher(export(tmp_path / "lstm.pt2", module, torch.export.Dim.STATIC))
    features = torch.randn(31, 4)
    with torch.inference_mode():
        torch.testing.assert_close(teacher.log_posteriors(features[:30]), module(features[:30]))
        with pytest.raises(InvalidInputError, match=r"axis 0 is == 30, these are \(31, 4\).*dynamic_shapes"):
            teacher.log_posteriors(features)
        with pytest.raises(InvalidInputError, match=r"axis 1 is == 4"):
            teacher.log_posteriors(features[:30, :3])


def test_its_fingerprint_is_of_what_it_computes_not_of_the_file(tmp_path: Path, saved: Path) -> None:
    same = export(tmp_path / "same.pt2", Net().eval(), frames=50)
    other = export(tmp_path / "other.pt2", Net(seed=1).eval())
    found = [load_teacher(path).fingerprint for path in (saved, same, other)]
    assert saved.read_bytes() != same.read_bytes()
    assert found[0] == found[1] != found[2]

    def scale(program: dict[str, Any]) -> None:
        text = json.dumps(program["graph_module"]).replace('"as_float": -1000.0', '"as_float": -10.0')
        assert text != json.dumps(program["graph_module"])
        program["graph_module"] = json.loads(text)

    changed = with_graph(saved, tmp_path / "changed.pt2", scale)
    assert load_teacher(changed).fingerprint != found[0]


def test_it_travels_to_other_processes(saved: Path) -> None:
    teacher, features = load_teacher(saved), torch.randn(9, 4)
    again = pickle.loads(pickle.dumps(teacher))  # noqa: S301
    torch.testing.assert_close(again.log_posteriors(features), teacher.log_posteriors(features))


class Evil:
    """Leaves a trace wherever it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def evil_pickle(trace: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(Evil(trace), buffer)
    return buffer.getvalue()


def test_a_pickled_weight_is_refused_and_never_opened(tmp_path: Path, saved: Path) -> None:
    trace = tmp_path / "trace"

    def poison(name: str, data: bytes) -> bytes:
        if name == "data/weights/model_weights_config.json":
            config = json.loads(data)
            next(iter(config["config"].values()))["use_pickle"] = True
            return json.dumps(config).encode()
        return evil_pickle(trace) if name == "data/weights/weight_0" else data

    with pytest.raises(InvalidInputError, match="as a Python pickle, which could run any code"):
        load_teacher(rewritten(saved, tmp_path / "evil.pt2", poison))
    assert not trace.exists()


@pytest.mark.parametrize("member", ["custom_obj_0", "opaque_obj_0", "../../weight_0"])
def test_objects_among_the_constants_are_refused(tmp_path: Path, saved: Path, member: str) -> None:
    def poison(name: str, data: bytes) -> bytes:
        if name != "data/constants/model_constants_config.json":
            return data
        config = json.loads(data)
        next(iter(config["config"].values()))["path_name"] = member
        return json.dumps(config).encode()

    with pytest.raises(InvalidInputError, match="as a Python pickle"):
        load_teacher(rewritten(saved, tmp_path / "evil.pt2", poison))


def test_pickled_examples_are_not_looked_at(tmp_path: Path, saved: Path) -> None:
    trace, features = tmp_path / "trace", torch.randn(9, 4)

    def poison(name: str, data: bytes) -> bytes:
        return evil_pickle(trace) if name == "data/sample_inputs/model.pt" else data

    teacher = load_teacher(rewritten(saved, tmp_path / "evil.pt2", poison))
    torch.testing.assert_close(teacher.log_posteriors(features), load_teacher(saved).log_posteriors(features))
    assert not trace.exists()


def test_expressions_in_a_graph_are_never_evaluated(tmp_path: Path, saved: Path) -> None:
    trace = tmp_path / "trace"
    code = f"__import__('pathlib').Path({str(trace)!r}).touch()"

    def poison(program: dict[str, Any]) -> None:
        for tensor in program["graph_module"]["graph"]["tensor_values"].values():
            for size in [*tensor["sizes"], *tensor["strides"]]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = code

    teacher = load_teacher(with_graph(saved, tmp_path / "evil.pt2", poison))
    assert teacher.log_posteriors(torch.randn(9, 4)).shape == (9, 5)

    def guard(program: dict[str, Any]) -> None:
        program["guards_code"] = [code]

    with pytest.raises(InvalidInputError, match="not checked here"):
        load_teacher(with_graph(saved, tmp_path / "guarded.pt2", guard))
    assert not trace.exists()


def node(target: str, *arguments: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    given = [{"name": name, "arg": value, "kind": 1} for name, value in arguments]
    return {"target": target, "inputs": given, "outputs": [], "metadata": {}}


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("torch.os.system", "command"),
        ("torch.ops.aten.from_file.default", "filename"),
        ("torch.ops.aten.save.default", "filename"),
        ("torch.ops.load_library", "path"),
        ("torch.ops.aten.name.format", "command"),
        ("torch.ops.aten.__class__.mro", "x"),
        ("torch.ops.prims.fft_r2c.default", "x"),
        ("_operator.methodcaller", "name"),
        ("math.__loader__.load_module", "name"),
        ("builtins.eval", "x"),
    ],
)
def test_nothing_but_tensor_operators_runs(tmp_path: Path, saved: Path, target: str, name: str) -> None:
    trace = tmp_path / "trace"

    def poison(program: dict[str, Any]) -> None:
        call = node(target, (name, {"as_string": f"touch {trace}"}))
        program["graph_module"]["graph"]["nodes"].insert(0, call)

    with pytest.raises(InvalidInputError, match=r"package\.module:factory"):
        load_teacher(with_graph(saved, tmp_path / "evil.pt2", poison))
    assert not trace.exists()


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.count: Tensor

    def forward(self, features: Tensor) -> Tensor:
        self.count.add_(1)
        return features * self.count


class Several(nn.Module):
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return features, features + 1


class OnlyEven(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.reshape(-1, 2, 4).flatten(0, 1)


def refused(path: Path, module: nn.Module) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as raised:
        load_teacher(export(path, module)).log_posteriors(torch.randn(9, 4))
    return raised.value


def test_what_is_no_function_of_features_alone_is_refused(tmp_path: Path) -> None:
    assert "changes" in str(refused(tmp_path / "counting.pt2", Counting()))
    assert "one tensor" in str(refused(tmp_path / "several.pt2", Several()))
    assert "while training" in str(refused(tmp_path / "training.pt2", Net().train()))


def test_conditions_on_the_input_that_are_not_checked_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"only right for features with .*% 8"):
        load_teacher(export(tmp_path / "even.pt2", OnlyEven(), torch.export.Dim.AUTO))


def test_arguments_that_were_constant_stay_what_they_were(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def forward(self, features: Tensor, shift: Tensor | None = None, scale: int = 1) -> Tensor:
            return scale * features if shift is None else features + shift

    features = torch.randn(30, 4)
    torch.export.save(torch.export.export(Scaled(), (features, None, 3)), tmp_path / "scaled.pt2")
    torch.testing.assert_close(load_teacher(tmp_path / "scaled.pt2").log_posteriors(features), 3 * features)


@pytest.mark.parametrize("cut", [0, 10, 5000])
def test_a_truncated_file_is_damaged(tmp_path: Path, saved: Path, cut: int) -> None:
    (tmp_path / "cut.pt2").write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(CorruptDataError, match=r"cut\.pt2"):
        load_teacher(tmp_path / "cut.pt2")


def test_a_flipped_bit_in_a_weight_is_found(tmp_path: Path, saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as file:
        weight = next(name for name in file.namelist() if name.endswith("weight_0"))
        data[data.index(file.read(weight)) + 5] ^= 1
    (tmp_path / "flipped.pt2").write_bytes(data)
    with pytest.raises(CorruptDataError, match=r"flipped\.pt2"):
        load_teacher(tmp_path / "flipped.pt2")


def test_an_older_or_newer_archive_is_named(tmp_path: Path, saved: Path) -> None:
    def newer(program: dict[str, Any]) -> None:
        program["schema_version"]["major"] = 9

    with pytest.raises(FormatError, match="version 9 of torch's export schema"):
        load_teacher(with_graph(saved, tmp_path / "newer.pt2", newer))
    with zipfile.ZipFile(tmp_path / "older.pt2", "w") as file:
        file.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(FormatError, match=r"torch 2\.8 or older"):
        load_teacher(tmp_path / "older.pt2")


@pytest.mark.parametrize("missing", ["nodes", "inputs", "outputs", "tensor_values"])
def test_a_graph_without_its_parts_is_damaged(tmp_path: Path, saved: Path, missing: str) -> None:
    with pytest.raises(SoftstoreError, match=r"less\.pt2"):
        load_teacher(
            with_graph(
                saved, tmp_path / "less.pt2", lambda program: program["graph_module"]["graph"].pop(missing)
            )
        )
