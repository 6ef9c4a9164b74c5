"""Small answers that are asked for again and again, kept whole: indices of shards, metadata, an utterance."""

from __future__ import annotations

from api.cache import Cache, Key
from api.lean import Whole

_SHARE = 16
"""This fraction of what may be kept ready is for them …"""

_ENTRY_BYTES = 1024
"""… with what each takes beside its body."""

_ASKED_BYTES = 512
"""What was asked is a part of the key; of longer requests, no answer is kept."""


class Answers(Cache[Whole]):
    """Args:
    limit: bytes of everything that is kept ready, of which these get a share.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit // _SHARE, _size)

    def keep(self, asked: bytes, key: Key, answer: Whole) -> None:
        """Keep what ``asked``, a part of the key, was answered; unless either is too long."""
        if len(asked) <= _ASKED_BYTES:
            self.put(key, answer)


def _size(answer: Whole) -> int:
    return len(answer.body) + _ENTRY_BYTES
