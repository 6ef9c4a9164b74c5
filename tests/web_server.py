"""A plain web server on loopback: the files of one directory, with Range, and nothing else."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import trustme


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], authority: trustme.CA | None = None) -> Iterator[str]:
    """The URL of a server of ``handler`` on a free port, while the context lasts.

    Args:
        authority: of its certificate; None: plain HTTP.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    origin = f"http://127.0.0.1:{server.server_port}"
    if authority is not None:
        origin = f"https://localhost:{server.server_port}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        # Who does not trust the certificate hangs up: not worth a traceback on the terminal.
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class QuietHandler(BaseHTTPRequestHandler):
    """HTTP/1.1 with connections kept open, as real servers do; nothing on the terminal."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None: ...


@contextmanager
def web_server(root: Path, token: str | None = None, asked: list[str] | None = None) -> Iterator[str]:
    """Serve the files below ``root``; with a ``token``, only to those who bring it.

    Args:
        asked: gets the path of every request for an object.
    """

    class Handler(QuietHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            file = root / unquote(self.path.partition("?")[0]).lstrip("/")
            status, body, headers = 200, b"", {}
            if token is not None and self.headers["Authorization"] != f"Bearer {token}":
                status = 403 if self.headers["Authorization"] else 401
            elif not file.is_file():
                status = 404
            else:
                body = file.read_bytes()
                wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
                if wanted:
                    start, stop = int(wanted[1]), min(int(wanted[2] or len(body)) + 1, len(body))
                    status = 206 if start < stop else 416
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
                    body = body[start:stop]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    with serving(Handler) as url:
        yield url
