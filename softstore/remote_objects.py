"""Objects on S3 or a web server, through obstore.

Requests that fail in passing (5xx, 429, timeouts, connections that break, also in the middle of an answer)
are tried again with exponential back-off and jitter, for a bounded time; the pauses are our own, whatever a
``Retry-After`` says. Connections are kept and used again. Certificates are checked against the system's
authorities, or those in the file that ``SSL_CERT_FILE`` names. What was read but is wrong is never
asked for again: checksums, a level above, make that an error.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import SplitResult, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import HTTPStore, S3Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_Answer = TypeVar("_Answer")

_CONNECT_TIMEOUT = timedelta(seconds=10)
_REQUEST_TIMEOUT = timedelta(minutes=5)
"""Of one request with its whole body, which may be a hundred megabytes over a slow line."""

_BROKEN_ANSWER = re.compile(r"Generic \w+ error: (Error getting [\w ]+ body: )?HTTP error: ")
"""How obstore says that an answer had begun; where no request succeeded it says "Error performing GET …"."""

_ASKED = re.compile(r"Error performing \w+ https?://(?:[^/\s]*@)?([^/\s]+)")
_STATUS = re.compile(r"status code: (\d{3}[ \w]*)")
_S3_CODE = re.compile(r"<Code>(\w+)</Code>")
_CAUSE = re.compile(r'message: "([^"]+)"|(failed to lookup address)')
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")


@dataclass(frozen=True, slots=True)
class Retries:
    """How long a remote request is tried before it is an error."""

    seconds: float = 60.0
    """No retry begins later than this after the first try, or after an answer that broke off."""

    times: int = 100
    """More than fit into that time, as a rule: pauses that are short by chance must not cut it short."""

    first_pause: float = 0.1
    """Seconds before the first retry. Later pauses grow at random, exponentially on average."""

    longest_pause: float = 10.0
    stall: float = 20.0
    """A read that receives nothing for so many seconds is given up, and tried again if time is left."""


class RemoteObjects:
    """The objects below one ``s3://`` or ``http(s)://`` URL.

    Raises FileNotFoundError where there is no object, and OSError with a sentence that says what to do.
    """

    def __init__(self, url: str, token: str | None, retries: Retries) -> None:
        self._address = urlsplit(url)
        self._token = token
        self._retries = retries
        # obstore's read timeout runs while a request is being sent, too: a slow upload would look stalled.
        self._reader = self._store(read_timeout=timedelta(seconds=retries.stall))
        self._writer = self._store(read_timeout=_REQUEST_TIMEOUT)

    def get(self, path: str) -> bytes:
        return self._ask(lambda: obstore.get(self._reader, path).bytes().to_bytes())

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        if length == 0:
            return memoryview(b"")
        try:
            return self._ask(
                lambda: memoryview(obstore.get_range(self._reader, path, start=start, length=length))
            )
        except _BeyondTheEndError:
            return memoryview(b"")

    def size(self, path: str) -> int:
        return self._ask(lambda: int(obstore.head(self._reader, path)["size"]))

    def put(self, path: str, data: bytes) -> None:
        # One request, however large: a part of a multipart upload is no easier to retry, and S3 takes 5 GiB.
        self._require_writable()
        self._ask(lambda: obstore.put(self._writer, path, data, use_multipart=False))

    def create(self, path: str, data: bytes) -> bool:
        self._require_writable()

        def put() -> bool:
            try:
                obstore.put(self._writer, path, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

        return self._ask(put)

    def exchange(self, path: str, before: bytes, after: bytes) -> bool:
        self._require_writable()

        def put() -> bool:
            found = obstore.get(self._writer, path)
            tag = found.meta["e_tag"]
            if tag is None:
                raise OSError("it gives no ETags, without which no object can be replaced safely")
            if found.bytes().to_bytes() != before:
                return False
            try:
                obstore.put(self._writer, path, after, mode={"e_tag": tag}, use_multipart=False)
            except PreconditionError:
                return False
            return True

        try:
            return self._ask(put)
        except FileNotFoundError:
            return False

    def move(self, path: str, target: str) -> None:
        self._require_writable()
        self._ask(lambda: obstore.copy(self._writer, path, target))
        self.delete(path)

    def delete(self, path: str) -> None:
        self._require_writable()
        self._ask(lambda: obstore.delete(self._writer, path))

    def walk(self, prefix: str) -> Iterator[tuple[str, int]]:
        self._require_listing()
        # All of it before the first, so that a listing which breaks off is begun again and never cut short.
        yield from self._ask(
            lambda: [
                (found["path"], found["size"])
                for page in obstore.list(self._reader, prefix or None)
                for found in page
            ]
        )

    def children(self, prefix: str) -> list[str]:
        self._require_listing()
        found = self._ask(lambda: obstore.list_with_delimiter(self._reader, prefix or None))
        directories = (path.rpartition("/")[2] + "/" for path in found["common_prefixes"])
        return [*directories, *(entry["path"].rpartition("/")[2] for entry in found["objects"])]

    def _store(self, read_timeout: timedelta) -> HTTPStore | S3Store:
        client: ClientConfig = {
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": read_timeout,
            "timeout": _REQUEST_TIMEOUT,
            "allow_http": True,
        }
        if self._token:
            client["default_headers"] = {"Authorization": f"Bearer {self._token}"}
        retry: RetryConfig = {
            "max_retries": self._retries.times,
            "retry_timeout": timedelta(seconds=self._retries.seconds),
            "backoff": {
                "init_backoff": timedelta(seconds=self._retries.first_pause),
                "max_backoff": timedelta(seconds=self._retries.longest_pause),
                "base": 3,  # each is drawn between the first and 3 times the last: on average 1.5 times it
            },
        }
        if self._address.scheme == "s3":
            prefix = self._address.path.strip("/") or None
            return S3Store(self._address.netloc, prefix=prefix, client_options=client, retry_config=retry)
        return HTTPStore.from_url(self._address.geturl(), client_options=client, retry_config=retry)

    def _require_listing(self) -> None:
        if isinstance(self._reader, HTTPStore):
            raise OSError("a web server does not list its files: use a path or s3:// for this")

    def _require_writable(self) -> None:
        if isinstance(self._writer, HTTPStore):
            raise OSError("stores are read-only over HTTP, so write to a path or s3://")

    def _ask(self, request: Callable[[], _Answer]) -> _Answer:
        """obstore retries requests; answers that break off only where the server sends ETags."""
        _require_own_threads()
        begin, pause = time.monotonic(), self._retries.first_pause
        for retry in itertools.count():
            try:
                return request()
            except (BaseError, FileNotFoundError) as error:
                waited = time.monotonic() - begin
                broken = _BROKEN_ANSWER.match(str(error))
                if not broken or retry == self._retries.times or waited + pause > self._retries.seconds:
                    _explain(error, self._address, self._token, waited)
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, self._retries.longest_pause)
        raise AssertionError("unreachable: the last try returns or raises")


class _BeyondTheEndError(OSError):
    """The range asked for begins where the object has ended."""


def _explain(error: Exception, address: SplitResult, token: str | None, waited: float) -> NoReturn:
    """Say what is wrong and what to do, in our words: a server's own may repeat keys and signatures."""
    text = str(error)
    status = _STATUS.search(text)
    code = _S3_CODE.search(text)
    cause = _CAUSE.search(text)
    certificate = _CERTIFICATE.search(text)
    on_s3 = address.scheme == "s3"
    asked = _ASKED.search(text)
    where = asked[1] if asked else "S3" if on_s3 else address.netloc
    if code and code[1] == "NoSuchBucket":
        reason = f"there is no bucket {address.netloc} at {where}: make it, or correct the name"
    elif isinstance(error, FileNotFoundError):
        raise error
    elif status and status[1].startswith("416"):
        raise _BeyondTheEndError from error
    elif "/latest/api/token" in text or "/latest/meta-data" in text:
        reason = "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    elif isinstance(error, (PermissionDeniedError, UnauthenticatedError)) and on_s3:
        reason = (
            f"{where} refuses{f' ({code[1]})' if code else ''}: check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, and that they may get, put and list objects of this bucket"
        )
    elif isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        what = "refuses this token" if token else "wants a token"
        reason = f"{where} {what}: pass one that it accepts as token=, or in SOFTSTORE_TOKEN"
    elif isinstance(error, NotSupportedError):
        reason = f"{where} does not support Range requests: serve it with a web server that does"
    elif status:
        advice = "try again later" if status[1][0] == "5" else "check the address"
        kept = f" and did so for {waited:.0f} s" if status[1][0] == "5" else ""
        reason = f"{where} answered {status[1].strip()}{f' ({code[1]})' if code else ''}{kept}: {advice}"
    elif certificate:
        reason = (
            f"the certificate of {where} is not trusted here ({certificate[1]}): name the file of its "
            "authority in SSL_CERT_FILE"
        )
    elif "kind: Connect" in text:
        why = next(filter(None, cause.groups()), "") if cause else ""
        reason = f"no connection to {where}{f' ({why})' if why else ''}: check the address and that it runs"
    elif "kind: Timeout" in text or "TimedOut" in text:
        reason = f"{where} gave no answer for {waited:.0f} s: check the network and try again later"
    elif "HTTP error: " in text:
        reason = f"the connection to {where} broke every time for {waited:.0f} s: try again later"
    else:
        reason = text.partition("\n")[0].rstrip(". ")
    raise OSError(reason) from error


_process_of_threads: int | None = None


def _require_own_threads() -> None:
    """obstore's threads do not survive a fork: a child that asked them would wait for ever."""
    global _process_of_threads
    if _process_of_threads is None:
        _process_of_threads = os.getpid()
    elif _process_of_threads != os.getpid():
        raise OSError(
            'this process was forked from one that had read remote objects: start workers with "spawn" or '
            '"forkserver" (multiprocessing_context of a DataLoader), or fork before the first read'
        )
