"""A proxy in front of an S3 server, through which it looks like one that is overloaded and restarted.

Some requests are refused with 500 or 503 before they reach the server, some after: what they asked for has
been done, and nobody is told. Others are slow, or the connection is closed instead of an answer. Writes go
one at a time, because moto looks whether an object is there and writes it in two steps, which S3 does not.
"""

from __future__ import annotations

import http.client
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

REFUSED = 0.05
DROPPED = 0.01
SLOW = 0.1
SLOWEST = 0.5
"""Seconds."""

Fate = Literal["answered", "refused", "done and refused", "dropped", "slow", "outage"]


@dataclass
class Unreliable:
    """Attributes: fates, how many requests had which."""

    endpoint: str
    random: random.Random
    fates: Counter[Fate] = field(default_factory=Counter)
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _inside: int = 0
    _out: bool = False

    @contextmanager
    def outage(self) -> Iterator[None]:
        """While the context lasts, nothing reaches the server; nor do answers that were under way."""
        with self._lock:
            self._out = True
            self._lock.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            self._out = False

    def draw(self) -> Fate:
        """What is to become of a request."""
        with self._lock:
            lot = self.random.random()
            fates: list[tuple[float, Fate]] = [
                (REFUSED / 2, "refused"),
                (REFUSED / 2, "done and refused"),
                (DROPPED, "dropped"),
                (SLOW, "slow"),
            ]
            fate: Fate = "answered"
            for share, one in fates:
                if 0 <= lot < share:
                    fate = one
                lot -= share
            if self._out:
                fate = "outage"
            self.fates[fate] += 1
            return fate

    @contextmanager
    def admitted(self, method: str) -> Iterator[bool]:
        """Whether a request may go to the server; the server stays until it has its answer."""
        with self._lock:
            if self._out:
                yield False
                return
            self._inside += 1
        try:
            with nullcontext() if method in ("GET", "HEAD") else self._writing:
                yield True
        finally:
            with self._lock:
                self._inside -= 1
                self._lock.notify_all()

    @property
    def out(self) -> bool:
        return self._out


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Whoever asked has been killed.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def unreliable(upstream: str, seed: int) -> Iterator[Unreliable]:
    """A proxy in front of the server at ``upstream``, while the context lasts."""
    address = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None: ...

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            fate = proxy.draw()
            if fate == "slow":
                time.sleep(proxy.random.uniform(0, SLOWEST))
            if fate in ("dropped", "outage"):
                self.close_connection = True
            elif fate == "refused":
                self._send(proxy.random.choice([500, 503]), {}, b"")
            else:
                self._pass_on(body, refused=fate == "done and refused")

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _answer  # noqa: N815

        def _pass_on(self, body: bytes, *, refused: bool) -> None:
            try:
                with proxy.admitted(self.command) as admitted:
                    if not admitted:
                        self.close_connection = True
                        return
                    status, headers, answer = self._forward(body)
            except OSError:
                status, headers, answer = 503, {}, b""
            if proxy.out:
                self.close_connection = True
            elif refused:
                self._send(500, {}, b"")
            else:
                self._send(status, headers, answer)

        def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(address, timeout=30)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                return answer.status, dict(answer.headers), answer.read()
            finally:
                connection.close()

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked may have been killed
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                # Of HEAD, the length of what GET would give.
                length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(body)

    server = _Server(("127.0.0.1", 0), Handler)
    proxy = Unreliable(f"http://127.0.0.1:{server.server_port}", random.Random(seed))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
