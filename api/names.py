"""What stores are called: in URLs, on the command line, and below a root."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from softstore.errors import InvalidInputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """``name`` itself.

    Raises:
        InvalidInputError: it cannot stand in a URL as it is.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"A store cannot be served as {name!r}: names have up to 64 letters, digits, '.', '_' and '-'."
        )
    return name


def named_stores(arguments: Iterable[str]) -> dict[str, str]:
    """Paths and URLs by name, from ``PATH_OR_URL`` or ``NAME=PATH_OR_URL``.

    Raises:
        InvalidInputError: two stores have the same name, or one has none.
    """
    named: dict[str, str] = {}
    for argument in arguments:
        name, equals, url = argument.partition("=")
        if not equals or "/" in name:
            url = argument
            name = urlsplit(url).path.rstrip("/").rpartition("/")[2] or urlsplit(url).netloc
        if not name.strip(".") or not url:
            raise InvalidInputError(f"{argument} gives the store no name: write NAME=PATH_OR_URL.")
        if name in named:
            raise InvalidInputError(
                f"{named[name]} and {url} would both be served as {name}: write NAME=PATH_OR_URL for one."
            )
        named[name] = url
    return named


def name_below_root(path: str) -> str | None:
    """The name of the store at a relative path: its segments, joined by dots; None if that is no name."""
    name = path.replace("/", ".")
    return name if _NAME.fullmatch(name) else None
