"""Copies: nothing damaged is copied, nothing else overwritten, and after a stop the next run goes on."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from softstore import Corpus, Store
from softstore.cli import build
from softstore.codecs import Float16
from softstore.compact import compact
from softstore.copy import Copied, copy
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError, NotAStoreError
from softstore.format import SENONES, SENONES_CHECKSUM
from softstore.frames import Frames
from softstore.sharding import crc32c
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from softstore.writer import update_attributes
from tests.samples import LENGTHS, make_corpus, make_store
from tests.watched import KilledError, clone, contents, watched

FEW = {"a": 100, "b": 300, "c": 200, "d": 64}
MORE = FEW | {"e": 512, "f": 130}


def empty() -> Storage:
    return open_storage(f"memory://{uuid4().hex}")


@pytest.fixture(scope="module")
def few() -> Store:
    return make_store(f"memory://{uuid4().hex}", make_corpus(f"memory://{uuid4().hex}", FEW))


@pytest.fixture(scope="module")
def more(few: Store) -> Store:
    """The same store, grown."""
    grown = clone(few.frames.storage, f"memory://{uuid4().hex}")
    return make_store(grown.url, make_corpus(f"memory://{uuid4().hex}", MORE))


def test_a_second_run_finds_everything_there(few: Store) -> None:
    source, place = few.frames.storage, empty()
    calls: list[tuple[int, int]] = []
    done = copy(source, place, lambda *call: calls.append(call))
    assert (done.present, done.utterances) == (0, len(FEW))
    assert calls[0] == (0, done.bytes)
    assert calls[-1] == (done.bytes, done.bytes)
    assert contents(place) == contents(source)
    counting, backend = watched(place)
    assert copy(source, counting) == Copied(0, 0, done.objects, len(FEW))
    assert backend.writes == 0


def test_damage_on_the_way_is_put_right(few: Store) -> None:
    source, place = few.frames.storage, empty()
    copy(source, place)
    for path in ("targets/classes/c/1/0", "manifest/000001.parquet", "labels/zarr.json"):
        data = place.get(path)
        place.put(path, data[:-1] + bytes([data[-1] ^ 1]))
    place.delete("features/c/0/0")
    assert copy(source, place).objects == 3
    assert contents(place) == contents(source)


def test_a_store_that_has_grown_is_added_to(few: Store, more: Store) -> None:
    place = empty()
    before = copy(few.frames.storage, place)
    after = copy(more.frames.storage, place)
    assert after.present == before.objects
    assert after.utterances == len(MORE)
    assert contents(place) == contents(more.frames.storage)
    with pytest.raises(ConflictError, match="other shards"):
        copy(few.frames.storage, place)


@pytest.mark.parametrize("max_shards", [64, 2])
def test_a_store_that_was_compacted_replaces_the_parts(more: Store, max_shards: int) -> None:
    source, place = clone(more.frames.storage, f"memory://{uuid4().hex}"), empty()
    copy(source, place)
    compact(source, max_shards)
    assert copy(source, place).objects == (2 if max_shards == 2 else 1)
    assert contents(place) == contents(source)
    # And back: the copy may have been compacted, too.
    copy(more.frames.storage, place)
    assert contents(place) == contents(more.frames.storage)


@pytest.mark.parametrize("there", ["nothing", "a smaller copy", "a smaller copy, compacted"])
def test_killed_at_any_write_it_is_no_store_or_what_it_was(few: Store, more: Store, there: str) -> None:
    before = empty()
    if there != "nothing":
        copy(few.frames.storage, before)
    if "compacted" in there:
        compact(before)
    source, steps = more.frames.storage, 0
    while True:
        steps += 1
        place = clone(before, f"memory://{uuid4().hex}")
        dying, _ = watched(place, dies_at=steps)
        try:
            copy(source, dying)
        except KilledError:
            if "zarr.json" in contents(place):
                found = verify(place, sample=0)
                # Only the shapes of arrays are ahead of the root, which a reader of ours does not look at.
                assert {fault.kind for fault in found.faults} <= {"metadata"}
                assert len(Frames(place).manifest) in (len(FEW), len(MORE))
            else:
                assert there == "nothing"
                with pytest.raises(NotAStoreError):
                    verify(place)
            copy(source, place)
            assert contents(place) == contents(source)
        else:
            break
    assert steps > 15


def test_what_is_damaged_is_named_and_not_copied(few: Store) -> None:
    sound = few.frames.storage
    for path in contents(sound):
        if path.endswith("/zarr.json"):
            continue  # Made anew from the attributes, not copied.
        for damage in (lambda data: data[:-1], lambda data: bytes([data[0] ^ 1]) + data[1:], None):
            source, place = clone(sound, f"memory://{uuid4().hex}"), empty()
            if damage is None:
                source.delete(path)
            else:
                source.put(path, damage(source.get(path)))
            with pytest.raises(
                (CorruptDataError, NotAStoreError), match="zarr.json" if path == "zarr.json" else path
            ):
                copy(source, place)
            assert path not in contents(place)
            assert "zarr.json" not in contents(place)


def test_metadata_that_is_damaged_is_right_in_the_copy(few: Store) -> None:
    source, place = clone(few.frames.storage, f"memory://{uuid4().hex}"), empty()
    source.put("labels/zarr.json", b"{}")
    copy(source, place)
    assert contents(place) == contents(few.frames.storage)


def test_whatever_else_lies_there_stays(few: Store, corpus: Corpus) -> None:
    source = few.frames.storage
    other = make_store(f"memory://{uuid4().hex}", corpus, Float16()).frames.storage
    with_other_speech = make_store(f"memory://{uuid4().hex}", corpus).frames.storage
    files = empty()
    files.put("notes.txt", b"mine")
    for place in (other, with_other_speech, corpus.frames.storage, files):
        before = contents(place)
        with pytest.raises(ConflictError, match=r"holds (an)?other|is not empty"):
            copy(source, place)
        assert contents(place) == before
    files.put("zarr.json", source.get("zarr.json").replace(b"soft_targets", b"soft_tergets"))
    with pytest.raises(CorruptDataError, match="damaged"):
        copy(source, files)


def test_a_store_is_not_copied_into_itself(tmp_path: Path, few: Store) -> None:
    storage = clone(few.frames.storage, tmp_path / "store")
    before = contents(storage)
    for place in (tmp_path / "store" / "sub", tmp_path / "store" / "a" / "b", tmp_path / "store"):
        with pytest.raises(InvalidInputError, match="lies in the store"):
            copy(storage, open_storage(place, writable=True))
    assert contents(storage) == before
    beside = open_storage(tmp_path / "store-2", writable=True)
    assert copy(storage, beside).utterances == len(FEW)


def test_senones_travel_with_their_corpus(few: Store) -> None:
    source = make_corpus(f"memory://{uuid4().hex}", FEW).frames.storage
    senones = b'{"tree":{},"lexicon":{}}'
    source.put(SENONES, senones)
    update_attributes(source, {"corpus": {SENONES_CHECKSUM: crc32c(senones)}})
    place = empty()
    copy(source, place)
    assert Corpus(Frames(place)).senones() == {"tree": {}, "lexicon": {}}
    source.put(SENONES, senones.replace(b"{}", b"[]"))
    with pytest.raises(CorruptDataError, match=r"senones\.json .* is damaged"):
        Corpus(Frames(source)).senones()
    with pytest.raises(CorruptDataError, match=r"senones\.json .* is damaged"):
        copy(source, empty())


def test_the_command_says_what_it_did(tmp_path: Path, store: Store) -> None:
    arguments = ["copy", store.url, str(tmp_path / "copies" / "store")]
    first, second = (CliRunner().invoke(build(), arguments).stdout for _ in range(2))
    assert first.startswith("Copied ")
    assert first.endswith(f"{arguments[2]} holds {len(LENGTHS)} utterances.\n")
    assert second == f"Nothing to copy: {arguments[2]} holds {len(LENGTHS)} utterances.\n"
