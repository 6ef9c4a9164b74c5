"""Logs on stderr, as text or as one JSON object a line: of requests, and of what ``logging`` is told.

A request costs its answer an append: another thread makes the lines and waits for the disk or the pipe.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

from api import metrics

LogFormat = Literal["text", "json"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request being answered; empty outside of one."""

_WRITTEN_EVERY = 0.1
"""Seconds that a line may wait for others."""

_HELD_LINES = 100_000
"""More than these are given up, and counted, rather than held in memory or waited for."""


class AccessLog:
    """Lines about requests.

    Fields: time, level, request_id, method, route (its template), path, status, bytes (of the body), seconds,
    client, token (its name, where one was shown), and unfinished, of an answer that was broken off.
    """

    def __init__(self, log_format: LogFormat, stream: TextIO | None = None) -> None:
        self._line = _json_line if log_format == "json" else _text_line
        self._stream = stream
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._something = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, fields: Mapping[str, Any]) -> None:
        """Have a line written soon; ``time`` is in seconds since 1970."""
        if len(self._waiting) >= _HELD_LINES:
            metrics.lost_log_lines.inc()
            return
        self._waiting.append(fields)
        if not self._something.is_set():
            self._something.set()
            if self._thread is None:
                # Here, not at first: threads do not survive a fork into workers.
                self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
                self._thread.start()
                atexit.register(self.flush)

    def flush(self) -> None:
        """Write what waits, now."""
        lines = []
        while self._waiting:
            try:
                lines.append(self._line(self._waiting.popleft()))
            except IndexError:  # another thread was quicker
                break
        if lines:
            stream = self._stream or sys.stderr
            stream.write("".join(lines))
            stream.flush()

    def _run(self) -> None:
        while True:
            self._something.wait()
            time.sleep(_WRITTEN_EVERY)
            self._something.clear()
            self.flush()


def configure(log_format: LogFormat, level: int = logging.INFO) -> None:
    """Send what ``logging`` is told to stderr in the service's format; for whoever owns the process."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(log_format))
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _Formatter(logging.Formatter):
    def __init__(self, log_format: LogFormat) -> None:
        super().__init__()
        self._json = log_format == "json"

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        fields = {
            "time": _clock(record.created),
            "level": record.levelname.lower(),
            "request_id": request_id.get(),
            "logger": record.name,
            "message": message,
        }
        fields = {name: value for name, value in fields.items() if value}
        return orjson.dumps(fields).decode() if self._json else " ".join(fields.values())


def _json_line(fields: Mapping[str, Any]) -> str:
    return orjson.dumps({**fields, "time": _clock(fields["time"])}).decode() + "\n"


def _text_line(fields: Mapping[str, Any]) -> str:
    line = (
        f"{_clock(fields['time'])} {fields['level']} {fields['request_id']} {fields['client']} "
        f"{fields['method']} {fields['path']} {fields['status']} {fields['bytes']} {fields['seconds']:.6f}"
    )
    token = f" token={fields['token']}" if "token" in fields else ""
    unfinished = " unfinished" if "unfinished" in fields else ""
    return f"{line}{token}{unfinished}\n"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
