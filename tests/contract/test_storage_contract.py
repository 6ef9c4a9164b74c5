"""One contract for everything that bytes are kept in, and every backend held to it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest

from softstore.errors import InvalidInputError, NotFoundError, StorageError
from softstore.storage import Storage, open_storage
from tests.web_server import web_server

DATA = bytes(range(256)) * 4
NAMES = [
    "zarr.json",
    "targets/classes/c/0/0",
    "with space/and more  of it",
    "Ünïcödé/日本/語",
    "per%cent/%41%2F",
    "punctuation/!'()*,;=@~[x]{y}",
    "a" * 200,
]


class ReadingContract:
    """`writer` puts what `reader` reads; both see the same objects."""

    @pytest.fixture
    def writer(self) -> Storage:
        raise NotImplementedError

    @pytest.fixture
    def reader(self, writer: Storage) -> Storage:
        return writer

    @pytest.mark.parametrize("name", NAMES)
    def test_an_object_is_read_as_it_was_written(self, writer: Storage, reader: Storage, name: str) -> None:
        writer.put(name, DATA)
        assert reader.get(name) == DATA
        assert reader.size(name) == len(DATA)
        assert reader.exists(name)
        assert reader.get_range(name, 10, 20) == DATA[10:30]

    @pytest.mark.parametrize(
        ("start", "length"),
        [(0, 1), (0, 1024), (1, 1022), (1023, 1), (1000, 24), (1000, 25), (1023, 5000), (1024, 1), (5000, 7)],
    )
    def test_a_range_ends_where_the_object_ends(
        self, writer: Storage, reader: Storage, start: int, length: int
    ) -> None:
        writer.put("x", DATA)
        found = reader.get_range("x", start, length)
        assert isinstance(found, memoryview)
        assert found == DATA[start : start + length]

    def test_empty_objects_and_empty_ranges(self, writer: Storage, reader: Storage) -> None:
        writer.put("empty", b"")
        writer.put("x", DATA)
        assert reader.get("empty") == b""
        assert reader.size("empty") == 0
        assert reader.exists("empty")
        assert len(reader.get_range("empty", 0, 10)) == 0
        assert len(reader.get_range("x", 3, 0)) == 0

    def test_what_is_not_there_is_named(self, writer: Storage, reader: Storage) -> None:
        writer.put("directory/x", DATA)
        for missing in ("y", "directory", "directory/y", "directory/x/y"):
            assert not reader.exists(missing)
            for ask in (
                lambda name=missing: reader.get(name),
                lambda name=missing: reader.get_range(name, 0, 1),
                lambda name=missing: reader.size(name),
            ):
                with pytest.raises(NotFoundError, match=re.escape(f"no '{missing}' in {reader.url}")):
                    ask()

    @pytest.mark.parametrize("path", ["", "../x", "a/../x", "/x", "a//x", "./x", "x/", "x\0"])
    def test_a_path_leads_nowhere_else(self, reader: Storage, path: str) -> None:
        if path:
            with pytest.raises(InvalidInputError, match="no path of an object"):
                reader.get(path)
        else:
            assert not reader.exists(path)

    def test_many_megabytes(self, writer: Storage, reader: Storage) -> None:
        data = os.urandom(1 << 20) * 20
        writer.put("large", data)
        assert reader.size("large") == len(data)
        assert reader.get("large") == data
        assert reader.get_range("large", 12_345_678, 5_000_000) == data[12_345_678:17_345_678]

    def test_threads_share_one_storage(self, writer: Storage, reader: Storage) -> None:
        for number in range(4):
            writer.put(f"t/{number}", bytes([number]) * 5000)

        def read(number: int) -> bool:
            name, value = f"t/{number % 4}", bytes([number % 4])
            return (
                reader.get(name) == value * 5000 and reader.get_range(name, number, 100) == value * 100
            ) and not reader.exists(f"t/no/{number}")

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, range(64)))


class StorageContract(ReadingContract):
    """And what can be written, too."""

    def test_put_replaces(self, writer: Storage) -> None:
        writer.put("x", b"long before")
        writer.put("x", b"now")
        assert writer.get("x") == b"now"
        assert writer.size("x") == 3

    def test_create_never_replaces(self, writer: Storage) -> None:
        assert writer.create("d/x", b"first")
        assert not writer.create("d/x", b"second")
        assert writer.get("d/x") == b"first"
        writer.delete("d/x")
        assert writer.create("d/x", b"third")
        assert writer.get("d/x") == b"third"

    def test_of_eight_creators_one_wins_and_its_bytes_are_there(self, writer: Storage) -> None:
        for turn in range(5):
            start = Barrier(8)

            def create(number: int, turn: int = turn, start: Barrier = start) -> bool:
                start.wait()
                return writer.create(f"c/{turn}", bytes([number]) * 1000)

            with ThreadPoolExecutor(8) as pool:
                won = list(pool.map(create, range(8)))
            assert sum(won) == 1
            assert writer.get(f"c/{turn}") == bytes([won.index(True)]) * 1000

    def test_exchange_replaces_what_was_seen_and_nothing_else(self, writer: Storage) -> None:
        assert not writer.exchange("d/x", b"", b"new")
        assert not writer.exists("d/x")
        writer.put("d/x", b"first")
        assert not writer.exchange("d/x", b"other", b"new")
        assert writer.get("d/x") == b"first"
        assert writer.exchange("d/x", b"first", b"second")
        assert writer.get("d/x") == b"second"

    def test_of_many_exchanges_none_is_lost(self, writer: Storage) -> None:
        writer.put("counter", b"0")

        def count(_: int) -> None:
            while True:
                before = writer.get("counter")
                if writer.exchange("counter", before, b"%d" % (int(before) + 1)):
                    return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(count, range(20)))
        assert writer.get("counter") == b"20"

    def test_move_replaces(self, writer: Storage) -> None:
        writer.put("from/x", DATA)
        writer.put("to/y", b"old")
        writer.move("from/x", "to/y")
        writer.put("from/z", b"z")
        writer.move("from/z", "other/deep/z")
        assert writer.get("to/y") == DATA
        assert sorted(writer.walk()) == [("other/deep/z", 1), ("to/y", len(DATA))]
        with pytest.raises(NotFoundError):
            writer.move("from/x", "to/y")
        assert writer.get("to/y") == DATA

    def test_readers_see_the_old_object_or_the_new_one_whole(self, writer: Storage) -> None:
        wanted = [bytes([number]) * 200_000 for number in range(8)]
        writer.put("x", wanted[0])
        with ThreadPoolExecutor(4) as pool:
            writes = [pool.submit(writer.put, "x", data) for data in wanted]
            reads = [pool.submit(writer.get, "x") for _ in range(24)]
            for write in writes:
                write.result()
            assert all(read.result() in wanted for read in reads)

    def test_delete(self, writer: Storage) -> None:
        writer.put("d/x", DATA)
        writer.delete("d/x")
        writer.delete("d/x")
        writer.delete("never/was")
        assert not writer.exists("d/x")
        assert list(writer.walk()) == []

    def test_walking(self, writer: Storage) -> None:
        assert list(writer.walk()) == []
        assert list(writer.walk("a")) == []
        sizes = {name: index for index, name in enumerate([*NAMES, "a/b/1", "a/b/2", "a/bc/3", "ab"])}
        for name, size in sizes.items():
            writer.put(name, bytes(size))
        assert dict(writer.walk()) == sizes
        assert dict(writer.walk("a/b")) == {name: sizes[name] for name in ("a/b/1", "a/b/2")}
        assert dict(writer.walk("a")) == {name: sizes[name] for name in ("a/b/1", "a/b/2", "a/bc/3")}
        assert dict(writer.walk("with space")) == {NAMES[2]: 2}
        assert list(writer.walk("a/b/1")) == []
        assert list(writer.walk("no")) == []

    def test_names_directly_below(self, writer: Storage) -> None:
        assert writer.children() == []
        for name in ("a/b/1", "a/b/2", "a/c", "ab", "with space/ü"):
            writer.put(name, DATA)
        assert writer.children() == ["a/", "ab", "with space/"]
        assert writer.children("a") == ["b/", "c"]
        assert writer.children("with space") == ["ü"]
        assert writer.children("no") == []


class TestLocalFiles(StorageContract):
    @pytest.fixture
    def writer(self, tmp_path: Path) -> Storage:
        return open_storage(tmp_path / "a place with ü", writable=True)

    def test_what_is_half_written_is_not_listed(self, writer: Storage) -> None:
        writer.put("a", b"1")
        (Path(writer.url) / "a#8233720368547758").write_bytes(b"cut off")
        assert list(writer.walk()) == [("a", 1)]

    def test_directories_that_come_and_go_are_in_nobodys_way(
        self, writer: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Without waiting for the disk they meet far more often.
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)

        def write_and_delete(number: int) -> None:
            for turn in range(1000):
                path = f"staging/{number}-{turn}"
                writer.put(path, b"1")
                writer.delete(path)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write_and_delete, range(8)))
        assert list(writer.walk()) == []
        assert not (Path(writer.url) / "staging").exists()

    def test_a_link_to_another_disk_is_followed(self, writer: Storage, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere/x").write_bytes(DATA)
        (Path(writer.url) / "linked").symlink_to(tmp_path / "elsewhere")
        assert writer.get("linked/x") == DATA
        writer.put("here", b"1")
        writer.move("here", "linked/there")
        assert writer.get("linked/there") == b"1"
        writer.delete("linked/there")
        assert list(writer.walk()) == [("linked/x", len(DATA))]

    def test_what_the_system_refuses_is_said(self, writer: Storage) -> None:
        with pytest.raises(StorageError, match=r"Could not write 'aaa.*File name too long"):
            writer.put("a" * 300, b"")
        writer.put("file", b"")
        with pytest.raises(
            StorageError, match=r"Could not write 'file/x' in .*: (Not a directory|File exists)"
        ):
            writer.put("file/x", b"")


class TestMemory(StorageContract):
    @pytest.fixture
    def writer(self) -> Storage:
        return open_storage(f"memory://{uuid4().hex}")

    def test_one_name_is_one_storage(self, writer: Storage) -> None:
        writer.put("x", DATA)
        assert open_storage(writer.url).get("x") == DATA


class TestS3(StorageContract):
    @pytest.fixture
    def writer(self, s3_url: str) -> Storage:
        return open_storage(f"{s3_url}/a prefix %41 ü", writable=True)

    def test_more_than_a_part_of_an_upload(self, writer: Storage) -> None:
        data = os.urandom(1 << 20) * 70
        writer.put("large", data)
        assert writer.size("large") == len(data)
        assert writer.get_range("large", len(data) - 10, 10) == data[-10:]
        assert not writer.create("large", data)


class TestWebServer(ReadingContract):
    @pytest.fixture
    def writer(self, tmp_path: Path) -> Storage:
        return open_storage(tmp_path / "my store", writable=True)

    @pytest.fixture
    def reader(self, writer: Storage) -> Iterator[Storage]:
        with web_server(Path(writer.url).parent) as url:
            yield open_storage(f"{url}/my%20store/")

    def test_nothing_is_written(self, writer: Storage, reader: Storage) -> None:
        writer.put("x", DATA)
        for write in (
            lambda: reader.put("x", b""),
            lambda: reader.create("y", b""),
            lambda: reader.delete("x"),
        ):
            with pytest.raises(StorageError, match="read-only over HTTP"):
                write()
        assert dict(writer.walk()) == {"x": len(DATA)}
        with pytest.raises(InvalidInputError, match="read-only over HTTP"):
            open_storage(reader.url, writable=True)

    def test_nothing_is_listed(self, reader: Storage) -> None:
        with pytest.raises(StorageError, match="does not list its files"):
            next(reader.walk())
