"""Teachers made by a factory, ``package.module:factory``.

The factory is called without arguments, once in every process that runs the teacher, and returns one of

- a `torch.nn.Module`, called with the features of one utterance, (frames, dimensions) float32, and returning
  logits or log-posteriors, (frames, classes). It is put into evaluation mode and moved to the device;
- a function of features that does the same; features come on the device;
- an object that is a `softstore.teacher.Teacher` already. On which device it works is its own affair, unless
  it has a method ``to(device)`` that returns the teacher there.

A module or function may say more in attributes:

    class_count           how many classes it has; otherwise as many as the corpus
    capture_temperature   it returns log softmax(logits / T) of this T, which is undone; otherwise 1
    fingerprint           a text that changes whenever its answers may; otherwise weights and code are hashed
    description           a text or JSON values to be recorded in the store
"""

from __future__ import annotations

import importlib
import re
from typing import cast

import torch

from softstore.errors import InvalidInputError, NotFoundError, SoftstoreError
from softstore.teachers import declared
from softstore.teachers.base import Teacher
from softstore.teachers.called import CalledTeacher
from softstore.teachers.captured import CapturedTeacher
from softstore.teachers.identity import identify

SPEC = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)")
"""``package.module:factory``; the factory may be an attribute of a class."""


def factory_teacher(spec: str) -> Teacher:
    """What the factory returns, as a teacher.

    Raises:
        NotFoundError: there is no such module, or nothing of that name in it.
        InvalidInputError: importing or calling it failed, or it returned nothing usable.
    """
    made = _made(spec)
    who = f"What {spec} returns"
    temperature = declared.checked_temperature(getattr(made, "capture_temperature", 1.0), who)
    classes, own = declared.class_count(made, who), declared.fingerprint(made, who)
    recorded = declared.description(made, who)
    if isinstance(made, Teacher):
        return made if temperature == 1 else CapturedTeacher(made, temperature)
    if isinstance(made, torch.nn.Module):
        kind, name = "module", type(made).__qualname__
        made.eval()
    elif callable(made) and not isinstance(made, type):
        kind, name = "function", getattr(made, "__qualname__", type(made).__qualname__)
    else:
        raise InvalidInputError(
            f"{spec} returned {type(made).__name__}: a factory returns a torch.nn.Module, a function of "
            "features, or a softstore.teacher.Teacher."
        )
    description = {"kind": kind, "teacher": spec, "name": name, **recorded}
    if temperature != 1:
        description["capture_temperature"] = temperature
    fingerprint = declared.at_temperature(own or identify(made, spec), temperature)
    return CalledTeacher(made, fingerprint, description, classes, temperature)


def _made(spec: str) -> object:
    match = SPEC.fullmatch(spec)
    assert match is not None
    name, attribute = match["module"], match["attribute"]
    try:
        factory: object = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise NotFoundError(
                f"There is no Python module {error.name!r} for the teacher {spec}: install it, or put its "
                "directory on PYTHONPATH."
            ) from error
        raise InvalidInputError(f"The teacher {spec} cannot be imported: {_line(error)}.") from error
    except Exception as error:
        raise InvalidInputError(f"The teacher {spec} cannot be imported: {_line(error)}.") from error
    for part in attribute.split("."):
        if not hasattr(factory, part):
            raise NotFoundError(f"There is no {attribute!r} in the Python module {name!r}.")
        factory = getattr(factory, part)
    if not callable(factory):
        raise InvalidInputError(f"{spec} is {type(factory).__name__}, not a function that makes a teacher.")
    try:
        return cast(object, factory())
    except SoftstoreError:
        raise
    except Exception as error:
        raise InvalidInputError(f"The factory {spec} failed: {_line(error)}.") from error


def _line(error: Exception) -> str:
    """The exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":.")
