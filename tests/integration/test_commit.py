"""Publishing a shard: killed at any moment, and tried by two at the same time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray

from softstore.codecs import TrackSpec
from softstore.format import Attributes, shard_object
from softstore.manifest import ShardObject
from softstore.parts import read_attributes, read_manifest
from softstore.sharding import sha256
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from softstore.writer import Writer, create
from tests.interleaved import interleave
from tests.watched import KilledError, contents, watched

ATTRIBUTES = Attributes(
    kind="corpus",
    shard_frames=64,
    chunk_frames=16,
    class_count=10,
    tracks={"features": TrackSpec("float32", 3), "labels": TrackSpec("uint16")},
)


def empty() -> Storage:
    storage = open_storage(f"memory://{uuid4().hex}")
    create(storage, ATTRIBUTES).allocate(2)
    return storage


def write(storage: Storage, whose: int, shard: int = 0) -> int:
    """One shard of somebody's own utterances and frames; nobody else writes the same bytes."""
    length = 20 + whose
    row: dict[str, Any] = {"utterance_id": f"{whose}-{shard}", "num_frames": length}
    row |= {"speaker": "s", "split": "train", "text": ""}
    tracks: dict[str, NDArray[Any]] = {
        "features": np.full((length, 3), whose, np.float32),
        "labels": np.full(length, whose, np.uint16),
    }
    return Writer(storage, read_attributes(storage)).write_shard(shard, [row], tracks)


def owner(storage: Storage) -> int:
    """Whose the published shard is; every object must be whole, and theirs."""
    manifest = read_manifest(storage, read_attributes(storage))
    assert manifest.shards == [0]
    for path, entry in manifest.objects.items():
        data = storage.get(path)
        assert ShardObject(len(data), sha256(data)) == entry
    assert len(manifest) == 1
    assert set(manifest.objects) == {shard_object(t, spec, 0) for t, spec in ATTRIBUTES.tracks.items()}
    return int(manifest.table["utterance_id"][0].as_py().partition("-")[0])


def number_of_writes() -> int:
    storage, backend = watched(empty())
    assert write(storage, 1) > 0
    return backend.writes


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_the_next_one_publishes_a_whole_shard(after: bool) -> None:
    for step in range(1, number_of_writes() + 1):
        storage = empty()
        with pytest.raises(KilledError):
            write(watched(storage, dies_at=step, after=after)[0], 1)
        published = write(storage, 2)
        assert owner(storage) == (2 if published else 1)
        Writer(storage, read_attributes(storage)).roll_forward()
        assert [path for path in contents(storage) if path.startswith("staging")] == []


def test_killed_after_the_decision_the_shard_is_finished_by_the_next_run() -> None:
    finished = 0
    for step in range(1, number_of_writes() + 1):
        storage = empty()
        with pytest.raises(KilledError):
            write(watched(storage, dies_at=step, after=True)[0], 1)
        decided = "staging/000000" in contents(storage)
        Writer(storage, read_attributes(storage)).roll_forward()
        if decided:
            assert owner(storage) == 1
            finished += 1
    assert finished > len(ATTRIBUTES.tracks)


def _publishes(storage: Storage) -> None:
    write(storage, 2)


def _rolls_forward(storage: Storage) -> None:
    Writer(storage, read_attributes(storage)).roll_forward()


def _keeps_tidying(storage: Storage) -> None:
    for _ in range(5):
        _rolls_forward(storage)


def _publishes_another_shard(storage: Storage) -> None:
    write(storage, 2, shard=1)


@pytest.mark.parametrize("other", [_publishes, _rolls_forward])
def test_whatever_another_does_between_any_two_writes_one_shard_is_published(
    other: Callable[[Storage], None],
) -> None:
    for step in range(1, number_of_writes() + 1):
        storage = empty()
        slow, backend = watched(storage)

        def meanwhile(number: int, step: int = step, storage: Storage = storage) -> None:
            if number == step:
                other(storage)

        backend.before_write = meanwhile
        mine = write(slow, 1)
        assert owner(storage) == (1 if mine else 2)
        assert [path for path in contents(storage) if path.startswith("staging")] == []


def test_two_that_take_turns_at_every_write_publish_once() -> None:
    """Each of the two is stopped once at every pair of its writes, while the other goes on to the end."""
    writes = number_of_writes()
    for first in range(1, writes + 1):
        for second in range(1, writes + 1):
            storage = empty()
            slow, backend = watched(storage)
            slower, other = watched(storage)

            def finishes(number: int, second: int = second, storage: Storage = storage) -> None:
                if number == second:
                    _rolls_forward(storage)

            def meanwhile(number: int, first: int = first, slower: Storage = slower) -> None:
                if number == first:
                    write(slower, 2)

            other.before_write = finishes
            backend.before_write = meanwhile
            mine = write(slow, 1)
            assert owner(storage) == (1 if mine else 2)


@pytest.mark.parametrize("seed", range(4))
def test_in_whatever_order_the_steps_of_many_come_one_shard_is_published(seed: int) -> None:
    """Three publish, at different bytes, and one tidies up all the while; moves are not atomic, as on S3."""
    for order in range(100):
        storage = empty()
        mine: dict[int, int] = {}

        def publish(whose: int, mine: dict[int, int] = mine) -> Callable[[Storage], None]:
            return lambda turns: mine.update({whose: write(turns, whose)})

        interleave(storage, [publish(1), publish(2), publish(3), _keeps_tidying], 100 * seed + order)
        # Nobody, where another one finished what the owner had decided, before it looked.
        assert [whose for whose, published in mine.items() if published] in ([], [owner(storage)])
        _rolls_forward(storage)
        assert [path for path in contents(storage) if path.startswith("staging")] == []
        assert verify(storage).sound


def test_a_decision_that_came_too_late_is_not_followed_by_one_who_tidies_up() -> None:
    """Seen decided, published meanwhile, and decided once more by one who then died."""
    deciding = len(ATTRIBUTES.tracks) + 2
    storage = empty()
    with pytest.raises(KilledError):
        write(watched(storage, dies_at=deciding, after=True)[0], 1)
    late, backend = watched(storage, dies_at=deciding, after=True)
    backend.before_write = lambda number: _publishes(storage) if number == deciding else None
    tidying, seen = watched(storage)

    def meanwhile(path: str) -> None:
        if path == "staging/000000":
            with pytest.raises(KilledError):
                write(late, 3)

    seen.meanwhile = meanwhile
    _rolls_forward(tidying)
    assert owner(storage) == 1
    _rolls_forward(storage)
    assert [path for path in contents(storage) if path.startswith("staging")] == []


def test_shards_beside_each_other_do_not_mind() -> None:
    storage = empty()
    slow, backend = watched(storage)
    backend.before_write = lambda number: _publishes_another_shard(storage) if number == 3 else None
    assert write(slow, 1)
    assert read_manifest(storage, read_attributes(storage)).shards == [0, 1]


def test_a_directory_is_left_as_clean_as_it_was(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "store", writable=True)
    create(storage, ATTRIBUTES).allocate(1)
    assert write(storage, 1)
    assert not (tmp_path / "store/staging").exists()
    Writer(storage, read_attributes(storage)).finish()
    assert verify(storage).sound
