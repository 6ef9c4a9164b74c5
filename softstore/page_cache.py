"""A bounded directory of pages of remote objects, for those who read a store again and again.

An object is kept in pages of `PAGE_BYTES`, each a file named by the object's SHA-256, which the manifest
states, and the page's number: an object that is made anew has another name, and nothing can go stale. A file
is written under a passing name and renamed, and ends in the crc32c of its name and the rest, so one that is
torn or damaged is noticed and read again from the source. Processes share a directory without locks.
Pages that were not used the longest go first.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from softstore.errors import InvalidInputError, StorageError
from softstore.sharding import crc32c

PAGE_BYTES = 1 << 20
CACHE_BYTES = 20 << 30
"""How large a cache grows unless told otherwise."""

_CHECKSUM_BYTES = 4
_LEAST_PAGES = 64
_KEPT = 3 / 4
_LOOK_AFTER = 1 / 32
"""A process that has written this share of the bound looks at the whole directory, and trims it to `_KEPT` of
the bound if need be: with up to 8 processes it never grows beyond."""

_ABANDONED_SECONDS = 3600.0
"""A file that is still under its passing name after so long was left by a process that was killed."""

_PAGE = re.compile(r"[0-9a-f]{64}-\d+(#\d+)?")
"""The name of a page; behind the ``#``, what makes a passing name unique."""

Fetch = Callable[[int, int], memoryview]
"""(start, length) → those bytes of the object."""


class PageCache:
    """See the module's docstring. Threads may share one; it travels to other processes.

    Args:
        directory: made if it is not there; nothing else should lie in it.
        limit_bytes: of all files together.

    Raises:
        InvalidInputError: the bound is below 64 MiB.
        StorageError: the directory cannot be made or written.
    """

    def __init__(self, directory: Path, limit_bytes: int = CACHE_BYTES) -> None:
        if limit_bytes < _LEAST_PAGES * PAGE_BYTES:
            raise InvalidInputError(
                f"A cache of {limit_bytes} bytes is too small to be of use: give it "
                f"{_LEAST_PAGES * PAGE_BYTES >> 20} MiB or more."
            )
        self.directory = directory.absolute()
        self.limit_bytes = limit_bytes
        self._written = limit_bytes  # so that the first page that is written brings a look
        self._lock = threading.Lock()
        # Threads that miss the same page wait for the one that fetches it.
        self._fetching = [threading.Lock() for _ in range(256)]
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"Could not make the cache {directory}: {error.strerror}.") from error
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise StorageError(f"The cache {directory} cannot be written: name another directory.")

    def __reduce__(self) -> tuple[type[PageCache], tuple[Path, int]]:
        return PageCache, (self.directory, self.limit_bytes)

    def read(self, sha256: str, size: int, start: int, length: int, fetch: Fetch) -> memoryview:
        """``length`` bytes of an object from ``start``; pages that are not here are fetched first.

        Args:
            sha256, size: of the object.
            fetch: asked once for neighbouring pages. It may return too little, if the object is shorter than
                it should be: so does this then, and keeps nothing.
        """
        stop = min(start + length, size)
        numbers = range(start // PAGE_BYTES, -(-stop // PAGE_BYTES))
        pages = {number: self._get(sha256, number, size) for number in numbers}
        if None in pages.values():
            with self._fetching[int(sha256[:2], 16)]:
                self._fill(sha256, size, pages, fetch)
        origin = numbers.start * PAGE_BYTES
        whole = [page for page in pages.values() if page is not None]
        if len(whole) < len(pages):
            return fetch(start, length)
        joined = whole[0] if len(whole) == 1 else memoryview(b"".join(whole))
        return joined[start - origin : stop - origin]

    def _fill(self, sha256: str, size: int, pages: dict[int, memoryview | None], fetch: Fetch) -> None:
        """Fetch the pages that are not here, unless another thread has meanwhile."""
        for number, page in pages.items():
            if page is None:
                pages[number] = self._get(sha256, number, size)
        for first, last in _missing(pages):
            begin, end = first * PAGE_BYTES, min((last + 1) * PAGE_BYTES, size)
            data = fetch(begin, end - begin)
            if len(data) != end - begin:
                return
            for number in range(first, last + 1):
                page = data[number * PAGE_BYTES - begin : (number + 1) * PAGE_BYTES - begin]
                pages[number] = page
                self._put(sha256, number, page)

    def _file(self, sha256: str, number: int) -> Path:
        return self.directory / sha256[:2] / f"{sha256}-{number}"

    def _get(self, sha256: str, number: int, size: int) -> memoryview | None:
        """A page that is here and whole."""
        file = self._file(sha256, number)
        try:
            data = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        page, checksum = memoryview(data)[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        expected = min(PAGE_BYTES, size - number * PAGE_BYTES)
        sound = len(page) == expected and checksum == _checksum(file.name, page)
        return page if sound else None

    def _put(self, sha256: str, number: int, page: memoryview) -> None:
        """Keep a page; where the disk takes none, reading goes on without."""
        file = self._file(sha256, number)
        passing = file.with_name(f"{file.name}#{secrets.randbits(63)}")
        try:
            file.parent.mkdir(exist_ok=True)
            with passing.open("xb") as out:
                out.write(page)
                out.write(_checksum(file.name, page))
            passing.replace(file)
        except OSError:
            with suppress(OSError):
                passing.unlink(missing_ok=True)
        with self._lock:
            self._written += len(page)
            if self._written < self.limit_bytes * _LOOK_AFTER:
                return
            self._written = 0
        self._trim()

    def _trim(self) -> None:
        """Remove what was abandoned, and the pages not used the longest while there is too much of them."""
        now = time.time()
        total = 0
        pages: list[tuple[float, int, Path]] = []
        for file in self._files():
            with suppress(FileNotFoundError):
                status = file.stat()
                if "#" in file.name and now - status.st_mtime > _ABANDONED_SECONDS:
                    file.unlink(missing_ok=True)
                    continue
                pages.append((status.st_mtime, status.st_size, file))
                total += status.st_size
        for _, size, file in sorted(pages):
            if total <= _KEPT * self.limit_bytes:
                break
            file.unlink(missing_ok=True)
            total -= size

    def _files(self) -> Iterator[Path]:
        """Every file that is a page or will be; whatever else lies here is not ours to remove."""
        for file in self.directory.glob("[0-9a-f][0-9a-f]/*"):
            if _PAGE.fullmatch(file.name):
                yield file


def _checksum(name: str, page: memoryview) -> bytes:
    return crc32c(page, crc32c(name.encode())).to_bytes(_CHECKSUM_BYTES, "little")


def _missing(pages: dict[int, memoryview | None]) -> Iterator[tuple[int, int]]:
    """First and last number of each stretch of pages that are not here."""
    missing = [number for number, page in pages.items() if page is None]
    for _, stretch in groupby(enumerate(missing), lambda place: place[1] - place[0]):
        numbers = [number for _, number in stretch]
        yield numbers[0], numbers[-1]
