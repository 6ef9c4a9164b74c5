"""Who made what is stored, when, with what: the record of a run."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import re
import secrets
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from softstore.format import RunRecord
from softstore.metadata import canonical_json

_PACKAGES = ("softstore", "torch", "numpy", "zarr", "pyarrow")
_GIT = ("git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+")
_GIT_SECONDS = 10

BLANK = "***"
_SECRET = r"token(?!i[sz])|secret|passw|credential|signature|api[-_]?key|access[-_]?key|private[-_]?key"
_OPTION = re.compile(rf"--?[\w-]*({_SECRET})[\w-]*", re.IGNORECASE)
_ASSIGNED = re.compile(rf"(?P<name>(?:^|\s)-{{0,2}}(?:AWS_\w*|[\w-]*(?:{_SECRET})[\w-]*)=).+", re.IGNORECASE)
_USER_OF_URL = re.compile(r"(?P<scheme>\w[\w+.-]*://)[^/@\s]*@")
_QUERY = re.compile(rf"(?P<name>[?&;][^=&;\s]*({_SECRET}|\bsig\b)[^=&;\s]*=)[^&;#\s]*", re.IGNORECASE)
_KNOWN = re.compile(
    r"(?i:bearer|basic) [\w.~+/=-]{8,}"
    r"|\b(AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[a-z]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{16,}|\bhf_\w{16,}|\bsk-[\w-]{16,}"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
)
_SHORTEST = 6
"""Characters of a value that is looked for: shorter ones would be found by chance."""


def new_run(
    *, command: Sequence[str], teacher: str, features: Mapping[str, Any], device: str, workers: int
) -> RunRecord:
    """The record of a run that begins now.

    Args:
        command: what asked for it; secrets in it are blanked, see `blanked`.
        teacher: its fingerprint.
        features: what a row of features is, as in a store's attributes.
        device: that the teacher runs on.
        workers: processes that make shards; 0: this one.
    """
    return RunRecord(
        id=secrets.token_hex(8),
        started=_now(),
        user=_user(),
        host=socket.gethostname(),
        command=blanked(command),
        versions=_versions(),
        git=_git_revision(),
        teacher=teacher,
        features=features_fingerprint(features),
        device=device,
        workers=workers,
    )


def finished(
    run: RunRecord, *, utterances: int, frames: int, shards: int, skipped: int, seconds: float
) -> RunRecord:
    """The same run, that ends now and has done this."""
    did = {"utterances": utterances, "frames": frames, "shards": shards, "skipped": skipped}
    return run.model_copy(update={**did, "finished": _now(), "seconds": round(seconds, 3)})


def features_fingerprint(features: Mapping[str, Any]) -> str:
    """SHA-256 of their description in canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(dict(features))).hexdigest()


def blanked(command: Sequence[str]) -> list[str]:
    """A command line with ``***`` for whatever looks like a secret.

    That is: the value of an option or variable that is named like one (``--token``, ``AWS_…=``), the user of
    a URL, signatures in its query, what begins as the keys of well-known services do, and, wherever it
    stands, the value of an environment variable that is named like a secret.
    """
    ours = [
        value
        for name, value in os.environ.items()
        if re.search(_SECRET, name, re.IGNORECASE) and len(value) >= _SHORTEST
    ]
    found: list[str] = []
    before = ""
    for argument in command:
        hidden = _OPTION.fullmatch(before) is not None and not argument.startswith("--")
        found.append(BLANK if hidden else _without_secrets(argument, ours))
        before = argument
    return found


def _without_secrets(argument: str, ours: Sequence[str]) -> str:
    for value in ours:
        argument = argument.replace(value, BLANK)
    argument = _USER_OF_URL.sub(rf"\g<scheme>{BLANK}@", argument)
    argument = _QUERY.sub(rf"\g<name>{BLANK}", argument)
    argument = _ASSIGNED.sub(rf"\g<name>{BLANK}", argument)
    return _KNOWN.sub(BLANK, argument)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    # In a container, a user may have neither a name in the environment nor an entry in /etc/passwd.
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return f"uid {os.getuid()}" if hasattr(os, "getuid") else ""


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return {**found, "platform": platform.platform(), "processor": _processor()}


def _processor() -> str:
    with suppress(OSError):
        names = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        if names:
            return names[1].strip()
    return platform.machine()


def _git_revision() -> str | None:
    """Of the working directory, with ``+`` where tracked files were changed; None: there is none."""
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        found = subprocess.run(
            _GIT,
            env=os.environ | quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=True,
            text=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
