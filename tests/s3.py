"""S3, as moto serves it, and places in it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from uuid import uuid4

import pytest

from softstore.storage import Retries

IMPATIENT = Retries(seconds=5, times=4, first_pause=0.01, longest_pause=0.05, stall=5)
"""As the default, but for tests that wait for the end of it."""

BUCKET = "bucket"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server of S3 with one empty bucket; the environment leads there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "", "MOTO_S3_DEFAULT_MAX_KEYS": "10"},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        try:
            _make_bucket(endpoint)
            yield endpoint
        finally:
            server.terminate()
            server.wait()


def _make_bucket(endpoint: str) -> None:
    for _ in range(300):
        try:
            request = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
            urllib.request.urlopen(request).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("moto's server did not start within 30 seconds")


@pytest.fixture
def s3_url(s3_endpoint: str) -> str:
    """An empty place."""
    return f"s3://{BUCKET}/{uuid4().hex}"
