"""Requests as fast as a server answers them: wrk's, which costs a server's machine the least."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from softstore.errors import MissingDependencyError

_DONE = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "seconds": %f, "bytes": %d, "p50_ms": %f, "p99_ms": %f, "failed": %d}\\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, again and again."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How a server bore it.

    Attributes:
        bytes: received, headers included.
        failed: requests that were not answered, or with 400 and above.
    """

    requests: int
    seconds: float
    bytes: int
    p50_ms: float
    p99_ms: float
    failed: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def load(request: Request, seconds: int, connections: int) -> Load:
    """Ask over so many connections, one request at a time on each.

    Raises:
        MissingDependencyError: there is no wrk.
        RuntimeError: a request failed.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise MissingDependencyError("This benchmark needs wrk, which Debian and others have as a package.")
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "request.lua")
        script.write_text(_script(request))
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
        command += ["-s", str(script), request.url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = Load(**json.loads(output.splitlines()[-1]))
    if found.failed or not found.requests:
        raise RuntimeError(f"{found.failed} of {found.requests} requests to {request.url} failed")
    return found


def _script(request: Request) -> str:
    lines = [f'wrk.headers["{name}"] = {json.dumps(value)}' for name, value in request.headers.items()]
    if request.body is not None:
        lines += ['wrk.method = "POST"', f"wrk.body = {json.dumps(request.body)}"]
    return "\n".join(lines) + _DONE
