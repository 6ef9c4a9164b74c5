"""How fast a run is going, and how long it will still take."""

from __future__ import annotations

from collections import deque

from softstore.progress import Phase, Standing

WINDOW_SECONDS = 30.0
_STEPS = 16
"""Changes that are looked back at however long ago they were: shards may take minutes each."""

_SPACING_SECONDS = 0.25


class Pace:
    """Tell it every standing, in order.

    Attributes:
        frames_per_second: lately: over the last `WINDOW_SECONDS`, or a few shards if they take longer. None
            until frames have been made.
    """

    def __init__(self) -> None:
        self.frames_per_second: float | None = None
        self._frames: deque[tuple[float, int]] = deque()
        self._latest: Standing | None = None

    def tell(self, standing: Standing) -> None:
        self._latest = standing
        # Planning and fitting are no part of it.
        if standing.phase is not Phase.RUNNING:
            return
        points, now = self._frames, standing.seconds
        if not points or (standing.frames > points[-1][1] and now - points[-1][0] >= _SPACING_SECONDS):
            points.append((now, standing.frames))
        while len(points) > _STEPS and now - points[1][0] >= WINDOW_SECONDS:
            points.popleft()
        since, before = points[0]
        if standing.frames > before and now > since:
            self.frames_per_second = (standing.frames - before) / (now - since)

    @property
    def eta_seconds(self) -> float | None:
        """Until all frames are made, at this pace; None if nobody can say."""
        if self._latest is None or self._latest.phase is not Phase.RUNNING or not self.frames_per_second:
            return None
        return max(self._latest.total_frames - self._latest.frames, 0) / self.frames_per_second
