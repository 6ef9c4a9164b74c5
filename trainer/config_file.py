"""Configurations as TOML: a section for each component, and what is not named as it was.

store = "runs/demo/store"    # or several: ["runs/a/store", "s3://bucket/store"]
targets = "pretrain"
temperature = 2.0

[model]
kind = "lstm"
cells = 512

[optimizer]
kind = "adamw"
learning_rate = 1e-3
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import TypeAdapter, ValidationError

from softstore.errors import InvalidInputError, NotFoundError
from trainer.config import OPTIMIZERS, StudentConfig, TeacherConfig

CONFIG = "config.toml"
SOURCE = "store"
"""The key beside the components' that names what a run learns from: a store or corpus, or a list of them."""

Config = TypeVar("Config", TeacherConfig, StudentConfig)


def read_toml(path: Path) -> dict[str, Any]:
    """Raises `NotFoundError` or `InvalidInputError` if there is no such file, or it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There is no configuration {path}.") from None
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} cannot be read as TOML: {error}") from None


def to_toml(config: TeacherConfig | StudentConfig, *sources: str) -> str:
    """All that was used, for `with_values` to read; a key that is not there was not set."""
    named = sources[0] if len(sources) == 1 else list(sources)
    return tomli_w.dumps(_without_none({SOURCE: named, **config.to_json()}))


def take_sources(values: dict[str, Any], where: str) -> list[str]:
    """The stores and corpora that a file names, taken out of its values.

    Raises:
        InvalidInputError: they are not named by text.
    """
    named = values.pop(SOURCE, [])
    sources = named if isinstance(named, list) else [named]
    if not all(isinstance(source, str) for source in sources):
        raise InvalidInputError(
            f"{where}: {SOURCE} = {named!r}: input should be a path or URL, or a list of them."
        )
    return sources


def with_values(config: Config, values: Mapping[str, Any], where: str) -> Config:
    """A configuration with some values changed, by key or by section and key.

    A section that names another ``kind`` begins with that kind's defaults; another optimiser brings its
    schedule with it.

    Args:
        where: where the values come from, for messages.

    Raises:
        InvalidInputError: an unknown key, a value of the wrong type, or one that cannot be.
    """
    merged = config.to_json()
    names: list[str] = [field.name for field in fields(config)]
    optimizer = values.get("optimizer")
    kind = optimizer.get("kind") if isinstance(optimizer, Mapping) else None
    if isinstance(kind, str) and kind in OPTIMIZERS and kind != config.optimizer.kind:
        merged["schedule"] = {"kind": OPTIMIZERS[kind][1].kind}
        merged["optimizer"] = {"kind": kind, "learning_rate": OPTIMIZERS[kind][0].learning_rate}
    for name, value in values.items():
        if name not in names:
            raise InvalidInputError(f"{where}: there is no {name}; there are {', '.join([SOURCE, *names])}.")
        if isinstance(merged[name], Mapping) and isinstance(value, Mapping):
            same = value.get("kind", merged[name].get("kind")) == merged[name].get("kind")
            merged[name] = {**(merged[name] if same else {}), **value}
        else:
            merged[name] = value
    try:
        # As JSON, in which a name may stand for an enum's value, and nothing else for anything else.
        return TypeAdapter(type(config)).validate_json(json.dumps(merged, default=str), strict=True)
    except ValidationError as error:
        raise InvalidInputError(f"{where}: {_first(error, merged)}") from None
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from None


def _first(error: ValidationError, merged: Mapping[str, Any]) -> str:
    """One sentence about the first thing that is wrong."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = list(first["loc"])
    if len(place) > 1 and isinstance(merged[str(place[0])], Mapping) and "kind" in merged[str(place[0])]:
        # The name of the kind is no key.
        place = [place[0], *place[2:]] if place[1] == merged[str(place[0])]["kind"] else place
    key = ".".join(map(str, place))
    if first["type"] == "unexpected_keyword_argument":
        return f"there is no {key}."
    return f"{key} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }
