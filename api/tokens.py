"""The file of tokens: who may read which stores.

    {"tokens": [{"name": "anna", "sha256": "9f86…", "added": "2026-11-25T10:00:00Z", "stores": ["*"],
                 "expires": "2027-02-23T10:00:00Z"}]}

Of a token only the SHA-256 is kept. It is 256 random bits: there is nothing to guess that a slow or salted
hash would protect, as it does passwords. The file is its owner's alone (mode 0600) and replaced whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from api.access import Access
from softstore.errors import ConflictError, InvalidInputError, NotFoundError, StorageError

Pattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9._*?-]{1,64}$")]
"""A store's name, in which ``*`` stands for any characters and ``?`` for one."""


class Token(BaseModel):
    """What is kept of a token.

    Attributes:
        name: whose it is, or what it is for; unique.
        sha256: of the token, in hexadecimal digits.
        added: when.
        stores: which it opens.
        expires: from when on it opens nothing; None: never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    added: datetime
    stores: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    expires: AwareDatetime | None = None

    @property
    def access(self) -> Access:
        return Access(self.name, self.stores, self.expires)


LONGEST_DAYS = 3650
"""What is to last for longer is a token without an end."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tokens: list[Token]


def moment(when: datetime) -> str:
    """As it is told to people."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def token_sha256(token: bytes) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token).hexdigest()


def read_tokens(path: Path) -> list[Token]:
    """All tokens, in the order in which they were added.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no file of tokens.
        StorageError: it cannot be read.
    """
    try:
        return _File.model_validate_json(path.read_bytes()).tokens
    except FileNotFoundError as error:
        raise NotFoundError(
            f"There is no file of tokens {path}: `softstore token add NAME --tokens {path}` makes it."
        ) from error
    except OSError as error:
        raise StorageError(f"The tokens in {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise InvalidInputError(f"{path} is no file of tokens: {where}{first['msg']}.") from error


def add_token(path: Path, name: str, stores: Sequence[str], days: int | None = None) -> str:
    """A new token, which is kept nowhere; the file is made if there is none.

    Args:
        days: how long it opens them, 1 to `LONGEST_DAYS`; None: until it is revoked.

    Raises:
        ConflictError: there is one of this name.
        InvalidInputError: a name, a pattern or days that cannot be, or ``path`` is something else.
        StorageError: the file cannot be read or written.
    """
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise InvalidInputError(
            f"A token cannot last {days} days: give 1 to {LONGEST_DAYS}, or none for one without an end."
        )
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        added = Token(
            name=name,
            sha256=token_sha256(token.encode()),
            added=now,
            stores=tuple(stores),
            expires=None if days is None else now + timedelta(days=days),
        )
    except ValidationError as error:
        given = error.errors()[0]["input"]
        raise InvalidInputError(
            f"{given!r} will not do: names have up to 64 letters, digits, '.', '_' and '-', those of tokens "
            "also '@', those of stores also '*' and '?'."
        ) from error
    with _changing(path) as file:
        tokens = read_tokens(file) if file.exists() else []
        if any(other.name == name for other in tokens):
            raise ConflictError(f"{path} has a token {name}: choose another name, or revoke that one first.")
        _write(file, [*tokens, added])
    return token


def revoke_token(path: Path, name: str) -> None:
    """Take a token away from whoever has it.

    Raises:
        NotFoundError: there is none of this name, or no such file.
        InvalidInputError, StorageError: as `add_token`.
    """
    with _changing(path) as file:
        tokens = read_tokens(file)
        kept = [token for token in tokens if token.name != name]
        if len(kept) == len(tokens):
            raise NotFoundError(f"{path} has no token {name}; `softstore token list` says what it has.")
        _write(file, kept)


@contextmanager
def _changing(path: Path) -> Iterator[Path]:
    """The file itself, where ``path`` is a link. Whoever else changes it waits; those who read do not."""
    file = path.resolve()
    try:
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StorageError(f"No tokens can be kept in {path}: {error.strerror}.") from error
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(directory)


def _write(file: Path, tokens: list[Token]) -> None:
    text = _File(tokens=tokens).model_dump_json(indent=2, exclude_none=True) + "\n"
    whole = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as written:  # noqa: PTH123
            written.write(text)
            written.flush()
            os.fsync(descriptor)
        whole.replace(file)
    except OSError as error:
        whole.unlink(missing_ok=True)
        raise StorageError(f"The tokens in {file} cannot be written: {error.strerror}.") from error
