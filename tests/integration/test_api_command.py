"""`softstore serve` as its users run it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import softstore
from api.cli import serve
from softstore import Store
from softstore.errors import InvalidInputError, NotFoundError

COMMAND = (sys.executable, "-m", "softstore", "serve")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_serves_and_stops_cleanly(store: Store, stop: signal.Signals) -> None:
    arguments = [store.url, f"again={store.url}", "--port", "0"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        urls = {}
        for _ in range(2):
            serving, name, at, url = process.stdout.readline().split()
            assert (serving, at) == ("Serving", "at")
            urls[name] = url
        assert list(urls) == ["store", "again"]
        try:
            for name, url in urls.items():
                assert url.startswith("http://127.0.0.1:")
                assert httpx.get(url).json()["name"] == name
            assert len(softstore.open(urls["again"] + "/objects")) == len(store)
        finally:
            process.send_signal(stop)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == ""


def refused(*arguments: str) -> str:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def test_what_cannot_be_served_is_one_sentence(store: Store, tmp_path: Path) -> None:
    assert "no zarr.json" in refused(f"here={tmp_path}")
    with pytest.raises(NotFoundError, match="There is no directory"):
        serve([str(tmp_path / "nowhere")])
    with pytest.raises(InvalidInputError, match="would both be served as store"):
        serve([store.url, store.url])
    with pytest.raises(InvalidInputError, match="cannot be served as 'a b'"):
        serve([f"a b={store.url}"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InvalidInputError, match=f"Cannot listen on 127.0.0.1, port {port}: Address already"
        ):
            serve([store.url], port=port)
