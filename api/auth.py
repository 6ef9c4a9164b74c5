"""Bearer tokens (RFC 6750): no answer without one, but for what says nothing of any store."""

from __future__ import annotations

import ipaddress
import logging
import os
from pathlib import Path
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import NONE, Access
from api.problems import FORBIDDEN, UNAUTHORIZED, ProblemError
from api.tokens import moment, read_tokens, token_sha256
from softstore.errors import InvalidInputError, SoftstoreError

_OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})

TELLING_OF_ALL = frozenset({"/metrics"})
"""What tells of all stores, and is only for tokens that open all of them."""

_LOOK_SECONDS = 1.0
"""How long a token may still open stores after it was revoked."""

_INVALID = 'Bearer realm="softstore", error="invalid_token"'
"""What RFC 6750 says to a token that is unknown, revoked or expired."""

_log = logging.getLogger(__name__)


class Tokens:
    """The tokens of a file that may change.

    A file that is gone or damaged opens nothing until it is mended: it may be the one that revokes a token.

    Raises:
        SoftstoreError: it cannot be read now; see `read_tokens`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next_look = monotonic() + _LOOK_SECONDS
        self._version = _version(path)
        self._by_hash = self._read()

    def access(self, token: bytes) -> Access | None:
        """What a token opens, or did until it expired; None if it is none of ours.

        A dictionary takes more or less time with the hash that it looks for. Whoever guesses tokens cannot
        choose their hashes, so that learning how far one was right gets them nowhere nearer.
        """
        if monotonic() > self._next_look:
            self._look()
        return self._by_hash.get(token_sha256(token))

    def _look(self) -> None:
        self._next_look = monotonic() + _LOOK_SECONDS
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._by_hash = self._read()
        except SoftstoreError as error:
            self._by_hash = {}
            _log.error("No token is accepted: %s", error)

    def _read(self) -> dict[str, Access]:
        return {token.sha256: token.access for token in read_tokens(self._path)}


class Admission:
    """Finds out who asks (see `api.access`), and refuses those it does not know.

    Which stores there are for them, `api.catalogue` decides: to a token, others do not exist (404), so that
    their names cannot be found out.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def admit(self, scope: Scope) -> None:
        """See who sent a request.

        Raises:
            ProblemError: 401 or 403, nothing is there for them.
        """
        self._access(scope).attach(scope)

    def _access(self, scope: Scope) -> Access:
        path = scope["path"][len(scope.get("root_path", "")) :]
        shown = _bearer(scope)
        access = self._tokens.access(shown) if shown is not None else None
        if access is None or access.expired:
            if is_open(path):
                return NONE
            raise _unauthorized(shown is not None, access)
        if path in TELLING_OF_ALL and not access.reads_all:
            raise ProblemError(
                403, FORBIDDEN, f"{path} tells of all stores, and the token {access.name} opens only some."
            )
        return access


class Authentication:
    """The layer that lets in whom `Admission` admits."""

    def __init__(self, app: ASGIApp, *, admission: Admission) -> None:
        self.app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._admission.admit(scope)
        await self.app(scope, receive, send)


def is_open(path: str) -> bool:
    """Whether no token is needed: for the page, which asks for one itself, probes, the OpenAPI document."""
    return path in _OPEN or path.startswith("/page/")


def check_exposure(address: str, *, tokens: Path | None, no_auth: bool) -> None:
    """Refuse to serve everybody by mistake.

    Args:
        address: the IP address that is listened on.

    Raises:
        InvalidInputError: others can reach it, and neither are tokens asked for, nor was that wanted.
    """
    if tokens or no_auth or ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return
    raise InvalidInputError(
        f"Whoever reaches {address} could read the stores: make a token with `softstore token add NAME "
        "--tokens FILE` and serve with --tokens FILE, or let everybody read with --no-auth."
    )


def _bearer(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            return token.strip() if scheme.lower() == b"bearer" else None
    return None


def _unauthorized(shown: bool, found: Access | None) -> ProblemError:
    if found is not None and found.expires is not None:
        detail = f"The token {found.name} expired on {moment(found.expires)}: ask for a new one."
        challenge = _INVALID
    elif shown:
        detail = "The token is not one that this service knows: it may have been revoked."
        challenge = _INVALID
    else:
        detail = "This service wants a token: send it as `Authorization: Bearer TOKEN`."
        challenge = 'Bearer realm="softstore"'
    return ProblemError(401, UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
