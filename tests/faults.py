"""A proxy on loopback in front of any HTTP or S3 server, which fails the way networks and servers do."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from tests.web_server import QuietHandler, serving

Kind = Literal[
    "late",  # the answer comes after a while
    "busy",  # 503 instead of the answer
    "refuse",  # 403 instead of the answer
    "drop",  # the connection is closed instead of an answer
    "reset",  # the connection is reset in the middle of the body
    "cut",  # the connection is closed in the middle of the body
    "shorten",  # half of the body, and headers that say that this is all
    "flip",  # one bit in the middle of the body is another
]


@dataclass
class Fault:
    """What happens to the first ``times`` requests of a ``method`` for a path that contains ``path``."""

    kind: Kind
    times: float = 1
    path: str = ""
    method: str = "GET"
    seconds: float = 0.05
    """How late the answer is."""


@dataclass
class FaultyProxy:
    """The requests that came, as "GET /path", and the faults that wait for theirs."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(
        self, kind: Kind, times: float = 1, path: str = "", method: str = "GET", seconds: float = 0.05
    ) -> None:
        """From now on. Of several faults that fit a request the first is used up, then the next."""
        self.faults.append(Fault(kind, times, path, method, seconds))

    def clear(self) -> None:
        self.faults.clear()
        self.requests.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Count one request; its fault, if any."""
        with self._lock:
            self.requests.append(f"{method} {unquote(path)}")
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.path in unquote(path):
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A proxy in front of ``upstream``, which answers as that does until faults are injected."""
    proxy = FaultyProxy()
    address = urlsplit(upstream).netloc

    class Handler(QuietHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            fault = proxy.take(self.command, self.path)
            kind = fault.kind if fault else None
            if kind == "drop":
                self.close_connection = True
                return
            if kind == "late" and fault:
                time.sleep(fault.seconds)
            if kind in ("busy", "refuse"):
                self._send(503 if kind == "busy" else 403, {}, b"", 0)
                return
            status, headers, answer = self._forward(body)
            length, whole = int(headers.get("Content-Length", len(answer))), answer
            if kind == "flip":
                middle = len(answer) // 2
                answer = answer[:middle] + bytes([answer[middle] ^ 1]) + answer[middle + 1 :]
            elif kind in ("cut", "reset", "shorten"):
                answer = answer[: len(answer) // 2]
            if kind == "shorten":
                length = len(answer)
            self._send(status, headers, answer, length)
            if kind in ("cut", "reset"):
                assert len(answer) < len(whole)
                self.wfile.flush()
                if kind == "reset":  # closing without lingering sends RST instead of FIN
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _answer  # noqa: N815

        def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(address)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                return answer.status, dict(answer.headers), answer.read()
            finally:
                connection.close()

        def _send(self, status: int, headers: dict[str, str], body: bytes, length: int) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # a client may have given up waiting
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

    with serving(Handler) as proxy.url:
        yield proxy
