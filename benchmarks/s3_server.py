"""An S3 server on loopback that says how many requests it was asked: moto's, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from softstore.storage import open_storage

BUCKET = "benchmark"

_START_SECONDS = 60


class S3Server:
    """Attributes: endpoint, such as ``http://127.0.0.1:5000``; log, a line for every request."""

    def __init__(self, endpoint: str, log: Path) -> None:
        self.endpoint = endpoint
        self.log = log
        self._process = self._started()

    def requests(self) -> int:
        """Requests answered so far."""
        return self.log.read_bytes().count(b" HTTP/1.")

    def restart(self) -> None:
        """Kill it and start it again with the same objects, which moto keeps in memory: they are carried."""
        storage = open_storage(f"s3://{BUCKET}")
        held = {path: storage.get(path) for path, _ in storage.walk()}
        self.stop()
        self._process = self._started()
        for path, data in held.items():
            storage.put(path, data)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        port = self.endpoint.rpartition(":")[2]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        with self.log.open("ab") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            _make_bucket(self.endpoint, process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with one empty bucket, while the context lasts; the AWS environment variables name it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    names = {
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    with tempfile.TemporaryDirectory() as directory, mock.patch.dict(os.environ, names):
        server = S3Server(endpoint, Path(directory, "log"))
        try:
            yield server
        finally:
            server.stop()


def _make_bucket(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    request = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
    for _ in range(10 * _START_SECONDS):
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("moto's S3 server did not start; is moto[server] installed?")
