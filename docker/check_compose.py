"""Runs the stack of compose.yaml in two image roots that `check.sh` has built, under chroot.

Stands in for `docker compose --profile demo up`, as far as this stack needs it: each container is a read-only
view of its image with its own /tmp, the volumes of compose.yaml, the image's user, entry point, command and
health check. All share one network namespace that leads nowhere, in which every service's name
is 127.0.0.1. moto plays the object store.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import yaml  # type: ignore[import-untyped]

HERE = Path(__file__).parent
PATIENCE_SECONDS = 120


class Image:
    """What `buildah inspect` tells of an image, and the directory that it is mounted at."""

    def __init__(self, work: Path, target: str) -> None:
        config = json.loads((work / f"{target}.json").read_text())["Docker"]["config"]
        self.root = (work / f"{target}.root").read_text().strip()
        self.entrypoint: list[str] = config["Entrypoint"]
        self.command: list[str] = config["Cmd"]
        self.environment: list[str] = config["Env"]
        self.user: str = config["User"]
        self.directory: str = config["WorkingDir"]
        self.health: list[str] = (config.get("Healthcheck") or {}).get("Test", [])


class Container:
    """A service of compose.yaml on its image."""

    def __init__(self, work: Path, name: str, service: dict[str, Any], image: Image) -> None:
        self.name, self._service, self._image = name, service, image
        self._root = work / "containers" / name
        self._mount(work)

    def run(
        self, command: list[str] | None = None, *, stdout: int | None = None, stderr: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts ``command``, or entry point and command as compose would."""
        image, service = self._image, self._service
        if command is None:
            command = service.get("entrypoint", image.entrypoint) + service.get("command", image.command)
        environment = [f"{key}={value}" for key, value in (service.get("environment") or {}).items()]
        inside = ["env", "-i", "HOME=/home/softstore", *image.environment, *environment, "sh", "-c"]
        inside += ['cd "$0" && exec "$@"', image.directory, *command]
        chroot = ["chroot", f"--userspec={image.user}", str(self._root)]
        return subprocess.Popen([*chroot, *inside], stdout=stdout, stderr=stderr)

    def tell(self, *arguments: str) -> str:
        """What ``docker compose run`` prints, given these arguments."""
        running = self.run([*self._service["entrypoint"], *arguments], stdout=subprocess.PIPE)
        said = running.communicate()[0].decode().strip()
        succeed(running)
        return said

    def run_until_healthy(self) -> subprocess.Popen[bytes]:
        running = self.run()
        test = self._service.get("healthcheck", {}).get("test", self._image.health)
        assert test[0] == "CMD", test
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.run(test[1:], stderr=subprocess.DEVNULL).wait():
            if running.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name} did not become healthy.")
            time.sleep(1)
        print(f"{self.name} is healthy.", flush=True)
        return running

    def _mount(self, work: Path) -> None:
        self._root.mkdir(parents=True)
        _mount("--bind", self._image.root, self._root)
        _mount("-o", "remount,bind,ro", self._root)
        _mount("-t", "tmpfs", "tmpfs", self._root / "tmp")
        _mount("-t", "proc", "proc", self._root / "proc")
        _mount("--rbind", "/dev", self._root / "dev")
        _mount("--bind", work / "hosts", self._root / "etc/hosts")
        for volume in self._service.get("volumes", []):
            source, target, *mode = volume.split(":")
            place = self._root / target.lstrip("/")
            _mount("--bind", _volume(work, source, self._image), place)
            if mode == ["ro"]:
                _mount("-o", "remount,bind,ro", place)


def main(work: Path) -> None:
    stack = read_stack({**read_settings(), "DEMO_PROFILE": "tiny"})
    services = stack["services"]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (work / "hosts").write_text(f"127.0.0.1 localhost {' '.join(services)}\n")
    images = {f"softstore-{target}": Image(work, target) for target in ("service", "trainer")}

    def container(name: str, number: int = 1) -> Container:
        return Container(work, f"{name}-{number}", services[name], images[services[name]["image"]])

    serve_objects(services["objects"]["environment"])
    container("scheduler").run_until_healthy()
    for number in range(services["worker"]["deploy"]["replicas"]):
        container("worker", number + 1).run()
    demo = container("demo")
    succeed(demo.run())

    token, service = container("token"), container("service")
    mine = token.tell("add", "me")
    for each, place in ((demo, "/opt/softstore"), (service, "/opt/softstore"), (service, "/home/softstore")):
        script = f"test $(id -u) = 1000 && ! touch {place}/here"
        succeed(each.run(["sh", "-c", script], stderr=subprocess.DEVNULL))
    running = service.run_until_healthy()
    wait_for_status(401, None)
    wait_for_status(200, mine)

    # Tokens that come and go while the service runs.
    students = token.tell("add", "student", "--store", "demo")
    wait_for_status(200, students)
    train = "softstore train --store http://service:8000/v1/stores/demo/objects --out student"
    options = "--preset demo --layers 1 --cells 32 --projection 16 --epochs 1"
    succeed(demo.run(["env", f"SOFTSTORE_TOKEN={students}", *train.split(), *options.split()]))
    token.tell("revoke", "student")
    wait_for_status(401, students)
    running.terminate()
    succeed(running)


def read_settings() -> dict[str, str]:
    """The variables of .env.example."""
    lines = (HERE / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def read_stack(settings: dict[str, str]) -> Any:
    """compose.yaml with its variables filled in."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else settings.get(match["name"]) or match["default"] or ""

    text = (HERE / "compose.yaml").read_text()
    return yaml.safe_load(re.sub(r"\$\$|\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\}", value, text))


def serve_objects(environment: dict[str, str]) -> None:
    """An empty bucket at the port of the object store."""
    server = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "8333"]
    subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    bucket = f"http://127.0.0.1:8333/{environment['S3_BUCKET']}"
    for _ in range(PATIENCE_SECONDS):
        try:
            urllib.request.urlopen(urllib.request.Request(bucket, method="PUT")).close()
            return
        except OSError:
            time.sleep(1)
    raise SystemExit("moto does not answer.")


def wait_for_status(expected: int, token: str | None) -> None:
    """Asks for the stores until the answer is this one; the service follows its tokens within a second."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    for _ in range(PATIENCE_SECONDS):
        answer = httpx.get("http://127.0.0.1:8000/v1/stores", headers=headers, trust_env=False)
        if answer.status_code == expected:
            print(expected, answer.text, flush=True)
            return
        time.sleep(1)
    raise SystemExit(f"Not {expected} but {answer.status_code}: {answer.text}")


def succeed(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise SystemExit(f"Exit code {process.returncode}: {process.args!r}")


def _volume(work: Path, name: str, image: Image) -> Path:
    """As Docker does it, a new volume belongs to whom the directory below belongs to."""
    place = work / "volumes" / name
    place.mkdir(parents=True, exist_ok=True)
    user, group = map(int, image.user.split(":"))
    os.chown(place, user, group)
    return place


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
