"""Teachers from a factory: what it may return, what identifies it, what is said when it cannot be used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from softstore.errors import InvalidInputError, NotFoundError
from softstore.teacher import everywhere, load_teacher
from softstore.teachers.captured import CapturedTeacher

FEATURES = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))

MODULE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, bias=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 5)
        self.dropout = torch.nn.Dropout(0.5)
        self.register_buffer("shift", torch.full((5,), bias), persistent=False)

    def forward(self, features):
        return self.dropout(self.layer(features)) + self.shift

def make():
    return Net()

def make_shifted():
    return Net(1.0)

def make_identified():
    net = Net()
    net.fingerprint, net.class_count, net.description = "my net 3", 5, {"paper": "ours"}
    return net
"""

FUNCTIONS = """
import functools, torch

SCALE = 1.0

def linear(seed):
    weights = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))
    def logits(features):
        return SCALE * (features @ weights)
    return logits

def one():
    return linear(1)

def two():
    return linear(2)

def hot():
    found = linear(1)
    found.capture_temperature = 2
    return found

def partial():
    return functools.partial(torch.add, 1)

class Opaque:
    pass

def opaque():
    session = Opaque()
    return lambda features: session.run(features)

def told():
    session = Opaque()
    function = lambda features: session.run(features)
    function.fingerprint = "session 1"
    return function
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module of a package ``teachers_here`` that can be imported until the test ends."""
    package = tmp_path / "teachers_here"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "teachers_here"]:
            del sys.modules[name]

    def write_module(name: str, text: str) -> None:
        forget()
        (package / f"{name}.py").write_text(text)

    yield write_module
    forget()


def test_a_module_answers_in_evaluation_mode(write: Write) -> None:
    write("net", MODULE)
    teacher = load_teacher("teachers_here.net:make")
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 5)
    torch.testing.assert_close(teacher.log_posteriors(FEATURES), layer(FEATURES))
    assert teacher.class_count is None
    assert teacher.description == {"kind": "module", "teacher": "teachers_here.net:make", "name": "Net"}


def test_a_module_says_more_in_attributes(write: Write) -> None:
    write("net", MODULE)
    teacher = load_teacher("teachers_here.net:make_identified")
    assert (teacher.fingerprint, teacher.class_count) == ("my net 3", 5)
    assert teacher.description["paper"] == "ours"


def test_a_function_is_called_with_features(write: Write) -> None:
    write("functions", FUNCTIONS)
    weights = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    teacher = load_teacher("teachers_here.functions:two")
    torch.testing.assert_close(teacher.log_posteriors(FEATURES), FEATURES @ weights)


def test_an_object_that_is_a_teacher_is_taken_as_it_is(write: Write) -> None:
    teacher = load_teacher("tests.samples:LinearTeacher")
    assert type(teacher).__name__ == "LinearTeacher"


HOT_TEACHER = """
from tests.samples import LinearTeacher

def make():
    teacher = LinearTeacher()
    teacher.capture_temperature = 4
    return teacher
"""


def test_the_temperature_of_a_teacher_is_part_of_what_it_is(write: Write) -> None:
    write("hot", HOT_TEACHER)
    cold, hot = load_teacher("tests.samples:LinearTeacher"), load_teacher("teachers_here.hot:make")
    assert isinstance(hot, CapturedTeacher)
    assert hot.fingerprint != cold.fingerprint
    assert hot.description == {**cold.description, "capture_temperature": 4.0}


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (MODULE, MODULE.replace("manual_seed(0)", "manual_seed(3)")),
        (MODULE, MODULE.replace("Dropout(0.5)", "Dropout(0.25)")),
        (MODULE, MODULE.replace("+ self.shift", "- self.shift")),
        (FUNCTIONS, FUNCTIONS.replace("SCALE = 1.0", "SCALE = 2.0")),
    ],
)
def test_a_fingerprint_changes_with_weights_and_code_only(write: Write, text: str, changed: str) -> None:
    factory = "one" if text is FUNCTIONS else "make"
    found = []
    for version in (text, changed, text):
        write("teacher", version)
        found.append(load_teacher(f"teachers_here.teacher:{factory}").fingerprint)
    assert found[0] == found[2] != found[1]
    assert len(found[0]) == 64


@pytest.mark.parametrize(("module", "other"), [("make", "make_shifted"), ("one", "two"), ("one", "hot")])
def test_what_code_alone_does_not_show_changes_it_as_well(write: Write, module: str, other: str) -> None:
    # One source file: values from outside a function, a buffer that is not saved, a temperature.
    write("teacher", MODULE + FUNCTIONS)
    found = {load_teacher(f"teachers_here.teacher:{name}").fingerprint for name in (module, other)}
    assert len(found) == 2


def test_weights_in_a_closure_are_part_of_it_even_if_the_factory_reads_them_from_elsewhere(
    write: Write, tmp_path: Path
) -> None:
    write(
        "stored",
        f"import numpy\ndef make():\n    w = numpy.load({str(tmp_path / 'w.npy')!r})\n"
        "    return lambda x: x @ w\n",
    )
    found = set()
    for value in (1.0, 2.0):
        np.save(tmp_path / "w.npy", np.full((4, 5), value, np.float32))
        found.add(load_teacher("teachers_here.stored:make").fingerprint)
    assert len(found) == 2


@pytest.mark.parametrize("factory", ["make", "one"])
def test_a_fingerprint_is_the_same_in_another_process(write: Write, tmp_path: Path, factory: str) -> None:
    write("teacher", MODULE + FUNCTIONS)
    spec = f"teachers_here.teacher:{factory}"
    program = f"from softstore.teacher import load_teacher; print(load_teacher({spec!r}).fingerprint)"
    root = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path[:0] = [{str(root)!r}, {str(tmp_path)!r}]; {program}",
    ]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert there == load_teacher(spec).fingerprint


@pytest.mark.parametrize("factory", ["partial", "opaque"])
def test_a_function_that_cannot_be_identified_must_say_what_it_is(write: Write, factory: str) -> None:
    write("functions", FUNCTIONS)
    with pytest.raises(InvalidInputError, match="attribute `fingerprint`"):
        load_teacher(f"teachers_here.functions:{factory}")


def test_a_function_that_says_what_it_is_may_hold_anything(write: Write) -> None:
    write("functions", FUNCTIONS)
    assert load_teacher("teachers_here.functions:told").fingerprint == "session 1"


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("no_such_package_here:make", NotFoundError, "no Python module 'no_such_package_here'"),
        ("teachers_here.nothing:make", NotFoundError, "no Python module 'teachers_here.nothing'"),
        ("teachers_here.bad:nothing", NotFoundError, "no 'nothing' in the Python module 'teachers_here.bad'"),
        ("teachers_here.bad:SCALE", InvalidInputError, "is float, not a function"),
        (
            "teachers_here.bad:fails",
            InvalidInputError,
            "bad:fails failed: ZeroDivisionError: division by zero",
        ),
        ("teachers_here.bad:number", InvalidInputError, "returned int: a factory returns"),
        ("teachers_here.bad:kind", InvalidInputError, "returned type: a factory returns"),
        ("teachers_here.needy:make", InvalidInputError, "cannot be imported: ModuleNotFoundError.*not_there"),
        ("teachers_here.broken:make", InvalidInputError, "cannot be imported: SyntaxError"),
    ],
)
def test_a_factory_that_cannot_be_used(write: Write, spec: str, kind: type[Exception], message: str) -> None:
    write(
        "bad",
        "SCALE = 1.0\ndef fails():\n    return 1 / 0\n"
        "def number():\n    return 3\ndef kind():\n    return int\n",
    )
    write("needy", "import not_there")
    write("broken", "def make(:")
    with pytest.raises(kind, match=message) as raised:
        load_teacher(spec)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        *(
            ("capture_temperature", value)
            for value in ("0", "-1", "float('nan')", "float('inf')", "True", "'2'")
        ),
        *(("class_count", value) for value in ("0", "2.0", "True")),
        ("fingerprint", "b'x'"),
        ("description", "{'of': object()}"),
    ],
)
def test_attributes_that_make_no_sense_are_refused(write: Write, attribute: str, value: str) -> None:
    write(
        "wrong", f"{MODULE}\ndef wrong():\n    net = Net()\n    net.{attribute} = {value}\n    return net\n"
    )
    with pytest.raises(
        InvalidInputError, match=f"teachers_here.wrong:wrong returns declares .*{attribute.split('_')[0]}"
    ):
        load_teacher("teachers_here.wrong:wrong")


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(InvalidInputError, match="There is no device 'abacus'"):
        load_teacher("tests.samples:LinearTeacher", device="abacus")


@pytest.mark.parametrize(
    "spec", ["/nowhere/teacher", "nowhere.pt2", "nowhere.ark", "ark:nowhere", "scp:nowhere"]
)
def test_nothing_there(spec: str) -> None:
    with pytest.raises(NotFoundError, match=r"no teacher at .*nowhere"):
        load_teacher(spec)


def test_a_file_that_is_no_teacher(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InvalidInputError, match="is no teacher"):
        load_teacher(tmp_path / "thesis.tex")


def test_a_teacher_is_named_for_workers_that_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "teacher").mkdir()
    assert everywhere("teacher") == str(tmp_path / "teacher")
    assert everywhere("ark:made/elsewhere.ark") == f"ark:{tmp_path}/made/elsewhere.ark"
    assert everywhere("package.module:factory") == "package.module:factory"
