"""How the C library gives memory back: not at every step of a loop that will ask for it again."""

from __future__ import annotations

import ctypes
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 28
_LARGEST_IN_HEAP = 1 << 25
"""The most that glibc takes for this."""


@cache
def keep_memory() -> None:
    """Let freed arrays of some megabytes stay with the process, where the C library is glibc.

    It would hand each back to the system, and every new one would come page by page, filled with zeros: half
    of the time of encoding, in Dask's workers, which ask for that, and half of that of a student's loss.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
