"""The files in docker/: pinned, without root, and with commands and options that exist."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]
from distributed.cli import dask_scheduler, dask_worker

from api.settings import ServiceSettings
from softstore.cli import build

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


def instructions() -> list[tuple[str, str]]:
    """Instruction and arguments of the Dockerfile, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line)]


def arguments_of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def stack() -> Any:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def ours() -> list[str]:
    return [name for name, service in stack()["services"].items() if "build" in service]


def extras() -> set[str]:
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def test_base_images_are_pinned_to_a_release() -> None:
    stages: set[str] = set()
    for rest in arguments_of("FROM"):
        image, name = rest.split(" AS ")
        assert image in stages or re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", image)
        stages.add(name)
    assert {"service", "trainer"} <= stages
    for service in stack()["services"].values():
        assert "build" in service or re.search(r":\d+\.\d+[^:]*$", service["image"])


def test_images_run_without_root_and_take_signals() -> None:
    assert arguments_of("USER") == ["1000:1000"]
    assert arguments_of("STOPSIGNAL") == ["SIGTERM"]
    assert [json.loads(rest) for rest in arguments_of("ENTRYPOINT")] == [["softstore"]]
    for rest in arguments_of("CMD") + [rest.split("CMD ")[1] for rest in arguments_of("HEALTHCHECK")]:
        assert json.loads(rest)


def test_the_health_check_is_python_that_asks_healthz() -> None:
    (check,) = arguments_of("HEALTHCHECK")
    python, option, code = json.loads(check.split("CMD ")[1])
    assert (python, option) == ("python", "-c")
    assert "'/healthz'" in code
    compile(code, "HEALTHCHECK", "exec")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    copied = [
        source
        for rest in arguments_of("COPY")
        if not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    for source in copied:
        assert (ROOT / source).exists()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == set(copied)


def test_everything_is_installed_by_the_script_that_the_check_runs() -> None:
    installs = [rest for rest in arguments_of("RUN") if "pip" in rest or "install.sh" in rest]
    assert len(installs) == 2
    assert all(re.search(r"sh /source/docker/install\.sh .* /opt/softstore", rest) for rest in installs)


def test_extras_are_those_of_the_project() -> None:
    chosen = [rest.partition("=")[2] for rest in arguments_of("ARG") if "EXTRAS" in rest]
    chosen += [stack()["services"][name]["build"]["args"].get("TRAINER_EXTRAS", "") for name in ours()]
    assert len(chosen) > 2
    assert {extra for each in chosen for extra in each.split(",") if extra} <= extras()


@pytest.mark.parametrize("name", ours())
def test_containers_can_write_nothing_and_gain_nothing(name: str) -> None:
    service = stack()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["build"]["target"] in {rest.split(" AS ")[1] for rest in arguments_of("FROM")}


def test_only_the_service_is_published_and_to_this_machine() -> None:
    published = {name: each["ports"] for name, each in stack()["services"].items() if "ports" in each}
    assert published == {"service": ["${SERVICE_ADDRESS:-127.0.0.1}:8000:8000"]}


def test_what_is_waited_for_can_become_so() -> None:
    services = stack()["services"]
    for service in services.values():
        for name, wait in service.get("depends_on", {}).items():
            healthy = "healthcheck" in services[name]
            assert wait["condition"] == "service_started" or (
                wait["condition"] == "service_healthy" and healthy
            )


def test_volumes_and_settings_are_declared() -> None:
    written = stack()
    services = written["services"].values()
    volumes = {each.split(":")[0] for service in services for each in service.get("volumes", [])}
    assert volumes == set(written["volumes"])
    settings = set(re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", (DOCKER / "compose.yaml").read_text())) == settings


def test_tokens_are_in_a_directory_that_only_their_own_command_changes() -> None:
    """A file mounted by itself would stay the old one when it is replaced."""
    service, token = (stack()["services"][name] for name in ("service", "token"))
    assert service["environment"]["SOFTSTORE_TOKENS"] == token["environment"]["SOFTSTORE_TOKENS"]
    directory = str(PurePosixPath(token["environment"]["SOFTSTORE_TOKENS"]).parent)
    (volume,) = token["volumes"]
    assert volume.partition(":")[2] == directory == arguments_of("WORKDIR")[-1]
    assert service["volumes"] == [f"{volume}:ro"]


def test_settings_of_the_service_exist() -> None:
    given = [*stack()["services"]["service"]["environment"], *arguments_of("ENV")]
    names = {
        each.partition("=")[0].removeprefix("SOFTSTORE_").lower() for each in given if "SOFTSTORE_" in each
    }
    assert {"host", "root", "tokens"} == names & set(ServiceSettings.model_fields) == names


def command_lines() -> list[list[str]]:
    """Every command of ours in compose.yaml, shell scripts line by line."""
    image_command = json.loads(arguments_of("CMD")[-1])
    lines = []
    for name in ours():
        service = stack()["services"][name]
        entrypoint = service.get("entrypoint", ["softstore"])
        if entrypoint[0] == "sh":
            lines += [shlex.split(line.replace("$$", "$")) for line in service["command"][0].splitlines()]
        else:
            lines.append(entrypoint + service.get("command", image_command))
    return lines


@pytest.mark.parametrize("line", command_lines(), ids=shlex.join)
def test_commands_and_their_options_exist(line: list[str]) -> None:
    program, *arguments = line
    command: Any = typer.main.get_command(build())
    if program == "dask":
        command = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[arguments.pop(0)]
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = {argument for argument in arguments if argument.startswith("-")}
    assert given <= known
