"""What the service has done, as Prometheus metrics; routes add what only they know.

softstore_requests_total{method, route, status, store}    answered; route is a template, store a served one
softstore_request_seconds{route, store}                   histogram, until the last byte is handed over
softstore_sent_bytes_total{route, store}                  of bodies, as sent
softstore_requests_in_flight                              being answered now
softstore_decoded_frames_total{store}                     frames of posteriors that were decoded
softstore_cache_hits_total, softstore_cache_misses_total{store}
softstore_corrupt_answers_total{store}                    that damaged bytes made impossible
softstore_lost_log_lines_total                            more than could be written

With ``PROMETHEUS_MULTIPROC_DIR`` set to an empty directory before Python starts, all workers answer for all.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    multiprocess,
)
from prometheus_client.exposition import choose_encoder

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_registry = CollectorRegistry()
ProcessCollector(registry=_registry)
PlatformCollector(registry=_registry)

_requests = Counter(
    "softstore_requests",
    "Requests answered.",
    ["method", "route", "status", "store"],
    registry=_registry,
)
_seconds = Histogram(
    "softstore_request_seconds",
    "Seconds from a request to the last byte of its answer.",
    ["route", "store"],
    buckets=_SECONDS,
    registry=_registry,
)
_sent = Counter("softstore_sent_bytes", "Bytes of bodies, as sent.", ["route", "store"], registry=_registry)
in_flight = Gauge(
    "softstore_requests_in_flight",
    "Requests being answered.",
    multiprocess_mode="livesum",
    registry=_registry,
)
_decoded = Counter(
    "softstore_decoded_frames", "Frames of posteriors that were decoded.", ["store"], registry=_registry
)
_hits = Counter("softstore_cache_hits", "Answers found ready.", ["store"], registry=_registry)
_misses = Counter("softstore_cache_misses", "Answers made anew.", ["store"], registry=_registry)
_corrupt = Counter(
    "softstore_corrupt_answers", "Answers that damaged bytes made impossible.", ["store"], registry=_registry
)
lost_log_lines = Counter(
    "softstore_lost_log_lines", "Log lines given up because writing was too slow.", registry=_registry
)


# What a store's label needs is looked up once.
_hits_of, _misses_of = cache(_hits.labels), cache(_misses.labels)


def frames_decoded(store: str, frames: int) -> None:
    """Count frames of a served store that were decoded, softened or not."""
    _decoded.labels(store).inc(frames)


def cache_hit(store: str, answers: int = 1) -> None:
    """Count answers that were found ready."""
    _hits_of(store).inc(answers)


def cache_miss(store: str) -> None:
    """Count an answer that had to be made."""
    _misses_of(store).inc()


def corrupt_answer(store: str) -> None:
    """Count an answer that damaged bytes made impossible; problems of that kind count themselves."""
    _corrupt.labels(store).inc()


_Labels = tuple[str, str, int, str]
_waiting: list[tuple[_Labels, int, float]] = []

_COUNTED_AFTER, _MOST_WAITING = 0.02, 512
"""To count is dearer than to note what is to be counted: that is done for many requests at a time, after so
many seconds or requests, and before anybody is told."""


def request_answered(
    method: str, route: str, status: int, store: str, sent_bytes: int, seconds: float
) -> None:
    """Have one counted, by the running loop; all but the numbers must come from a small set, for each
    combination is kept."""
    if not _waiting:
        asyncio.get_running_loop().call_later(_COUNTED_AFTER, count_requests)
    _waiting.append(((method, route, status, store), sent_bytes, seconds))
    if len(_waiting) >= _MOST_WAITING:
        count_requests()


def count_requests() -> None:
    """Count those that are noted. Threads may do it at once."""
    noted = _waiting[:]
    del _waiting[: len(noted)]
    alike: defaultdict[_Labels, list[tuple[int, float]]] = defaultdict(list)
    for labels, sent_bytes, seconds in noted:
        alike[labels].append((sent_bytes, seconds))
    for labels, answers in alike.items():
        requests, latency, sent = _children(*labels)
        requests.inc(len(answers))
        sent.inc(sum(sent_bytes for sent_bytes, _ in answers))
        for _, seconds in answers:
            latency.observe(seconds)


@cache
def _children(method: str, route: str, status: int, store: str) -> tuple[Counter, Histogram, Counter]:
    return (
        _requests.labels(method, route, str(status), store),
        _seconds.labels(route, store),
        _sent.labels(route, store),
    )


def exposition(accept: str) -> tuple[bytes, str]:
    """All metrics in the text format that an Accept header asks for, and its media type."""
    count_requests()
    encode, media_type = choose_encoder(accept)
    directory = os.environ.get(_DIRECTORY)
    if not directory:
        return encode(_registry), media_type
    _forget_dead_workers(Path(directory))
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together, directory)  # type: ignore[no-untyped-call]
    return encode(together), media_type


_LIVE_FILE = re.compile(r"gauge_live[a-z]*_([0-9]+)\.db")


def _forget_dead_workers(directory: Path) -> None:
    """Whoever was killed in the middle of a request would be in flight for ever."""
    for file in directory.iterdir():
        found = _LIVE_FILE.fullmatch(file.name)
        if found and not Path(f"/proc/{found[1]}").exists() and Path("/proc/self").exists():
            file.unlink(missing_ok=True)
