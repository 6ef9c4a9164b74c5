"""`softstore serve` as a process: workers, signals, certificates, and addresses that others reach."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from api.cli import serve
from api.tokens import add_token, revoke_token
from softstore import Store
from softstore.errors import InvalidInputError, NotFoundError
from tests.processes import Process, process, softstore, wait_for
from tests.service_process import Service, service

BIG_BYTES = 64 * 1024 * 1024
"""More than sockets hold: most of it is still to be sent when a client has read its beginning."""


@pytest.fixture
def big(own_store: Store) -> Store:
    """A store with one large object, which the service takes for a part of it."""
    with Path(own_store.url, "targets/big").open("wb") as file:
        file.truncate(BIG_BYTES)
    return own_store


def worker_ids(running: Service) -> list[int]:
    found = []
    for pid in running.process.session():
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def printed(running: Process) -> str:
    return Path(f"/proc/{running.pid}/fd/1").read_text()


def refuses(running: Service) -> bool:
    address = urlsplit(running.url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_what_is_being_sent_is_finished(big: Store, workers: int, stop: signal.Signals) -> None:
    with service(big.url, "--workers", str(workers)) as running:
        with httpx.stream("GET", f"{running.url}/v1/stores/store/objects/targets/big") as answer:
            chunks = answer.iter_raw()
            received = len(next(chunks))
            # As a terminal does: to the workers, too.
            running.process.send_all(stop)
            wait_for(lambda: refuses(running))
            assert running.process.running
            received += sum(map(len, chunks))
        assert received == BIG_BYTES
        ended = running.process.end()
        assert (ended.code, ended.errors) == (0, "")
        wait_for(lambda: running.process.session() == [])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_stops_it_at_once(big: Store, workers: int) -> None:
    with service(big.url, "--workers", str(workers)) as running:
        with httpx.stream("GET", f"{running.url}/v1/stores/store/objects/targets/big") as answer:
            chunks = answer.iter_raw()
            next(chunks)
            running.process.send(signal.SIGTERM)
            wait_for(lambda: refuses(running))
            running.process.send(signal.SIGINT)
            assert running.process.end().code == 128 + signal.SIGINT
            with pytest.raises(httpx.TransportError):
                list(chunks)
        wait_for(lambda: running.process.session() == [])


def served(text: str, route: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith("softstore_requests_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if f'route="{route}"' in line)


def test_workers_count_together_and_are_replaced(store: Store, tmp_path: Path) -> None:
    with service(store.url, "--workers", "2") as running:
        wait_for(lambda: len(worker_ids(running)) == 2)
        for _ in range(40):
            # A connection each, so that both have some.
            assert httpx.get(f"{running.url}/v1/stores").status_code == 200
        # The worker that is asked cannot have the other one count what it answered in the last 20 ms.
        wait_for(lambda: served(httpx.get(f"{running.url}/metrics").text, "/v1/stores") == 40)
        killed, other = worker_ids(running)
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: len(set(worker_ids(running)) - {killed}) == 2)
        assert other in worker_ids(running)
        assert httpx.get(f"{running.url}/v1/stores").status_code == 200
        wait_for(lambda: served(httpx.get(f"{running.url}/metrics").text, "/v1/stores") == 41)
        running.process.send(signal.SIGTERM)
        ended = running.process.end()
        assert ended.code == 0
        assert "A worker ended: exit code -9. Another takes its place." in ended.errors


def test_workers_do_not_outlive_their_parent(store: Store) -> None:
    with service(store.url, "--workers", "2") as running:
        wait_for(lambda: len(worker_ids(running)) == 2)
        running.process.send(signal.SIGKILL)
        wait_for(lambda: running.process.session() == [])


def test_it_says_where_it_serves_when_all_workers_are_ready(store: Store, tmp_path: Path) -> None:
    root = Path(store.url).parent
    with process(*softstore("serve", "--root", root, "--workers", "2", "--port", "0")) as running:
        wait_for(lambda: "/v1/stores\n" in printed(running), running)
        running.send(signal.SIGTERM)
        ended = running.end()
        assert ended.code == 0
        first, last = ended.output.splitlines()
        assert first.startswith("Serving store at http://127.0.0.1:")
        assert first == f"Serving store at {last.rpartition(' ')[2]}/store"
        assert last.startswith(f"Serving {root} at http://127.0.0.1:")


def test_what_cannot_be_served_is_one_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="There is nothing to serve"):
        serve([])
    with pytest.raises(InvalidInputError, match="softstore token add NAME --tokens FILE"):
        serve([store.url], host="0.0.0.0")
    with pytest.raises(NotFoundError, match="There is no file of tokens"):
        serve([store.url], tokens=tmp_path / "nowhere")
    (tmp_path / "no.pem").write_text("nothing")
    with pytest.raises(InvalidInputError, match=r"no\.pem are no certificate"):
        serve([store.url], tls_certificate=tmp_path / "no.pem")
    with pytest.raises(InvalidInputError, match=r"nowhere\.pem cannot be read: No such file"):
        serve([store.url], tls_certificate=tmp_path / "no.pem", tls_key=tmp_path / "nowhere.pem")


def test_what_a_worker_cannot_serve_is_one_sentence(tmp_path: Path) -> None:
    with process(*softstore("serve", f"here={tmp_path}", "--port", "0", "--workers", "2")) as running:
        ended = running.end()
        assert (ended.code, ended.output) == (2, "")
        assert ended.errors.endswith("is not a softstore store or corpus: it has no zarr.json.")
        assert "Traceback" not in ended.errors
        wait_for(lambda: running.session() == [])


def test_a_certificate(store: Store, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(tmp_path / "chain.pem"), append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    arguments = (
        "--tls-certificate",
        tmp_path / "chain.pem",
        "--tls-key",
        tmp_path / "key.pem",
        "--port",
        "0",
    )
    with process(*softstore("serve", store.url, *arguments)) as running:
        wait_for(lambda: "Serving" in printed(running), running)
        url = printed(running).split()[-1]
        assert url.startswith("https://127.0.0.1:")
        assert httpx.get(url, verify=context).json()["name"] == "store"
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http"))


@pytest.fixture
def guarded(store: Store, tmp_path: Path) -> Iterator[tuple[Service, Path, str]]:
    file = tmp_path / "tokens.json"
    token = add_token(file, "anna", ["*"])
    arguments = ("--host", "0.0.0.0", "--tokens", file, "--access-log", "--log-format", "json")
    with service(store.url, *arguments, "--workers", "2") as running:
        yield running, file, token


def test_tokens_are_asked_for_and_revoked_while_it_runs(guarded: tuple[Service, Path, str]) -> None:
    running, file, token = guarded

    def status() -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{running.url}/v1/stores", headers=headers).status_code

    assert httpx.get(f"{running.url}/v1/stores").status_code == 401
    assert status() == 200
    revoke_token(file, "anna")
    wait_for(lambda: [status() for _ in range(8)] == [401] * 8)
    running.process.send(signal.SIGTERM)
    ended = running.process.end()
    assert '"token":"anna"' in ended.errors
    assert token not in ended.errors


def test_everybody_may_be_let_in(store: Store) -> None:
    with service(store.url, "--host", "0.0.0.0", "--no-auth") as running:
        assert httpx.get(f"{running.url}/v1/stores").status_code == 200
