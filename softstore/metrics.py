"""A run's progress as Prometheus metrics, on a port of its own.

softstore_utterances_total, softstore_frames_total, softstore_shards_total, softstore_bytes_total,
softstore_skipped_utterances_total                        published, or skipped, by this run
softstore_planned_utterances, _frames, _shards            what this run is to publish; 0 while it plans
softstore_present_utterances                              were there before
softstore_workers                                         processes at work; 0: the run's own
softstore_run_seconds                                     since the run began
softstore_phase{phase="planning" | "fitting the codec" | "running" | "done"}    1 for what it is at, else 0
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from softstore.errors import InvalidInputError, MissingDependencyError
from softstore.progress import Phase, Progress, Standing, silent

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        help="Serve Prometheus metrics of the run at 127.0.0.1:PORT/metrics. [default: none]",
    ),
]

_COUNTED = {
    "utterances": "Utterances published by this run.",
    "frames": "Frames encoded or published by this run.",
    "shards": "Shards published by this run.",
    "bytes": "Bytes published by this run.",
}


def serving_metrics(port: int | None, address: str = "127.0.0.1") -> AbstractContextManager[Progress]:
    """Serves metrics of what it is told while the context lasts; None: nothing is served.

    Raises:
        MissingDependencyError: prometheus_client is not installed.
        InvalidInputError: the port cannot be had.
    """
    return nullcontext(silent) if port is None else _served(port, address)


@contextmanager
def _served(port: int, address: str) -> Iterator[Progress]:
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Metrics need prometheus_client, which is not installed: pip install 'softstore[metrics]'."
        ) from error
    latest = _Latest()
    registry = CollectorRegistry()
    registry.register(latest)
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise InvalidInputError(
            f"Metrics cannot be served at {address}:{port}: {error.strerror}. Choose another --metrics-port."
        ) from error
    try:
        yield latest.tell
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Latest:
    """A Prometheus collector of the last standing it was told."""

    def __init__(self) -> None:
        self._standing = Standing(Phase.PLANNING)

    def tell(self, standing: Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        # Another thread asks: one look, so that all numbers are of the same moment.
        now = self._standing
        for name, meaning in _COUNTED.items():
            yield CounterMetricFamily(f"softstore_{name}", meaning, value=getattr(now, name))
        yield CounterMetricFamily(
            "softstore_skipped_utterances", "Utterances left out because of an error.", value=now.skipped
        )
        gauges = {
            "planned_utterances": ("Utterances that this run is to publish.", now.total_utterances),
            "planned_frames": ("Frames that this run is to publish.", now.total_frames),
            "planned_shards": ("Shards that this run is to publish.", now.total_shards),
            "present_utterances": ("Utterances that were there before this run.", now.present),
            "workers": ("Processes at work; 0: the run's own.", now.workers),
            "run_seconds": ("Seconds since the run began.", now.seconds),
        }
        for name, (meaning, value) in gauges.items():
            yield GaugeMetricFamily(f"softstore_{name}", meaning, value=value)
        phases = GaugeMetricFamily("softstore_phase", "What the run is at: 1, all else: 0.", labels=["phase"])
        for phase in Phase:
            phases.add_metric([phase.value], float(phase is now.phase))
        yield phases
