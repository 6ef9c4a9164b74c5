"""Files below one directory. A write has reached the disk when it returns, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_STAGED = re.compile(r"#\d+$")
"""How the name of a file ends that is not whole yet. Such names are never listed."""

_TRIES = 100


class LocalFiles:
    """Plain system calls: no threads, nothing open between calls, so forks and threads are welcome.

    Raises what the operating system raises; FileNotFoundError where there is no regular file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, path: str) -> bytes:
        with self._opened(path) as (descriptor, size):
            return _read(descriptor, 0, size)

    def get_range(self, path: str, start: int, length: int) -> memoryview:
        with self._opened(path) as (descriptor, size):
            return memoryview(_read(descriptor, start, min(length, size - start)))

    def size(self, path: str) -> int:
        with self._opened(path) as (_, size):
            return size

    def put(self, path: str, data: bytes) -> None:
        target = self.root / path
        with self._staged(target, data) as staged:
            staged.replace(target)

    def create(self, path: str, data: bytes) -> bool:
        target = self.root / path
        with self._staged(target, data) as staged:
            try:
                target.hardlink_to(staged)
            except FileExistsError:
                return False
        return True

    def exchange(self, path: str, before: bytes, after: bytes) -> bool:
        target = self.root / path
        try:
            # The lock is the file's own, and goes with its holder, however that ends.
            with target.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not os.path.samestat(os.fstat(file.fileno()), target.stat()) or file.read() != before:
                    return False
                self.put(path, after)
        except FileNotFoundError:
            return False
        return True

    def move(self, path: str, target: str) -> None:
        source, whole = self.root / path, self.root / target
        whole.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(whole)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # A directory of the store may be a link to another disk.
            self.put(target, self.get(path))
            source.unlink()
        self._sync_above(whole)
        self._sync_emptied(source.parent)

    def delete(self, path: str) -> None:
        target = self.root / path
        target.unlink(missing_ok=True)
        self._sync_emptied(target.parent)

    def walk(self, prefix: str) -> Iterator[tuple[str, int]]:
        return (found for found in self._files(prefix) if not _STAGED.search(found[0]))

    def children(self, prefix: str) -> list[str]:
        try:
            with os.scandir(self.root / prefix) as entries:
                return [
                    f"{entry.name}/" if entry.is_dir() else entry.name
                    for entry in entries
                    if not _STAGED.search(entry.name)
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def staged(self) -> Iterator[tuple[str, int]]:
        """(path, size) of files that are not whole yet, or never will be because their writer was killed."""
        return (found for found in self._files("") if _STAGED.search(found[0]))

    def _files(self, prefix: str) -> Iterator[tuple[str, int]]:
        for directory, directories, names in os.walk(
            self.root / prefix, onerror=_skip_gone, followlinks=True
        ):
            directories.sort()
            for name in sorted(names):
                file = Path(directory, name)
                if file.is_file():
                    yield file.relative_to(self.root).as_posix(), file.stat().st_size

    @contextmanager
    def _opened(self, path: str) -> Iterator[tuple[int, int]]:
        """The descriptor and the size of a regular file."""
        try:
            descriptor = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except NotADirectoryError as error:
            raise FileNotFoundError(path) from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(path)
            yield descriptor, status.st_size
        finally:
            os.close(descriptor)

    @contextmanager
    def _staged(self, target: Path, data: bytes) -> Iterator[Path]:
        """``data`` on the disk under a passing name; once the context has given it its own, that too."""
        staged = target.with_name(f"{target.name}#{secrets.randbits(63)}")
        try:
            with _opened_new(staged) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield staged
        finally:
            staged.unlink(missing_ok=True)
        self._sync_above(target)

    def _sync_emptied(self, directory: Path) -> None:
        """Remove directories that hold nothing any more, and bring what was removed to the disk."""
        while directory != self.root:
            try:
                directory.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                break
            directory = directory.parent
        _sync_directory(directory)

    def _sync_above(self, file: Path) -> None:
        """Bring the names on the way to a file to the disk."""
        for directory in (file.parent, *file.parent.parents):
            _sync_directory(directory)
            if directory == self.root:
                break


def _opened_new(file: Path) -> BinaryIO:
    """A new file, and its directories, which somebody else may find empty and remove meanwhile."""
    for _ in range(_TRIES):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            return file.open("xb")
        except (FileExistsError, FileNotFoundError) as error:
            removed = error
    raise removed


def _read(descriptor: int, start: int, length: int) -> bytes:
    """Linux reads at most 2 GiB in one call."""
    pieces = []
    while length > 0:
        piece = os.pread(descriptor, length, start)
        if not piece:
            break
        pieces.append(piece)
        start, length = start + len(piece), length - len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _sync_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk. One that is gone was empty, and is no loss."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _skip_gone(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error
