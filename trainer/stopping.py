"""SIGTERM and SIGINT while a run is under way: noted, so that it can save itself first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):  # noqa: N818
    """A signal ended a run, whose state is saved.

    Args:
        number: of the signal; 0 if it came to another rank.

    Attributes:
        exit_code: as a shell has it, 128 + the signal: 143 or 130.
    """

    def __init__(self, number: int) -> None:
        number = number or signal.SIGTERM
        super().__init__(f"Stopped by {signal.Signals(number).name}.")
        self.exit_code = 128 + number


class StopSignals:
    """A context in which the first signal is noted; a second one acts at once, as it does outside.

    Attributes:
        number: of the signal; 0 while there was none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        # Signals can be handled in the main thread only; elsewhere they are whose it is.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _NUMBERS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
