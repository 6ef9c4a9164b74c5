"""A run's progress as lines of JSON on stderr, for logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime

from softstore.pace import Pace
from softstore.progress import Progress, Standing

LINE_SECONDS = 1.0


@contextmanager
def json_lines() -> Iterator[Progress]:
    """A line holds ``time`` (UTC, ISO 8601), all of the `Standing`, ``frames_per_second``, ``eta_seconds``.

    There is at most one in `LINE_SECONDS`, besides one for each change of phase and one for the last of all,
    even of a run that fails.
    """
    pace = Pace()
    written: Standing | None = None
    latest: Standing | None = None

    def tell(standing: Standing) -> None:
        nonlocal latest, written
        latest = standing
        pace.tell(standing)
        if (
            written is None
            or standing.phase is not written.phase
            or standing.seconds - written.seconds >= LINE_SECONDS
        ):
            _write(standing, pace)
            written = standing

    try:
        yield tell
    finally:
        if latest is not None and latest is not written:
            _write(latest, pace)


def _write(standing: Standing, pace: Pace) -> None:
    said = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **asdict(standing),
        "frames_per_second": _rounded(pace.frames_per_second),
        "eta_seconds": _rounded(pace.eta_seconds),
    }
    # Whoever read the lines may have gone; the run goes on.
    with suppress(OSError):
        print(json.dumps(said | {"seconds": round(standing.seconds, 3)}), file=sys.stderr, flush=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
