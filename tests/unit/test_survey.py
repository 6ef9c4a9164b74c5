"""What is published, looked at: in memory where it is little, else with a temporary file."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest

from softstore import spilled
from softstore.codecs import TrackSpec
from softstore.errors import CorruptDataError, StorageError
from softstore.format import LABELS, Attributes, Complete
from softstore.memory_objects import MemoryObjects
from softstore.parts import read_attributes
from softstore.spilled import Records, by_key
from softstore.storage import Storage
from softstore.survey import Survey, survey
from softstore.writer import create


def look(shards: dict[int, list[str]]) -> Survey:
    """At a corpus of utterances of one frame more each, shard by shard."""
    storage = Storage("memory://corpus", MemoryObjects())
    tracks = {LABELS: TrackSpec("uint16")}
    writer = create(
        storage, Attributes(kind="corpus", class_count=9, shard_frames=64, chunk_frames=64, tracks=tracks)
    )
    writer.allocate(max(shards) + 1)
    for shard, names in shards.items():
        rows = [
            {"utterance_id": name, "num_frames": frames, "speaker": "", "split": "train", "text": ""}
            for frames, name in enumerate(names, 1)
        ]
        frames = sum(range(len(names) + 1))
        assert writer.write_shard(shard, rows, {LABELS: np.zeros(frames, np.uint16)})
    return survey(storage, read_attributes(storage))


@pytest.fixture(params=[2, 3, spilled.RUN])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many records there are room for in memory."""
    monkeypatch.setattr(spilled, "RUN", request.param)
    return int(request.param)


@pytest.mark.usefixtures("run")
def test_what_is_published_is_counted_and_found() -> None:
    found = look({0: ["a", "b", "c"], 1: ["d"], 4: ["e", "f"]})
    assert len(found) == 6
    assert found.shards.tolist() == [0, 1, 4]
    assert found.firsts.tolist() == [0, 3, 4]
    assert found.complete() == Complete(shards=2, utterances=6, frames=10)
    assert found.those_of(["f", "nobody", "a"]) == {"a", "f"}
    assert found.those_of([]) == set()


@pytest.mark.usefixtures("run")
def test_an_utterance_that_is_listed_twice_is_named() -> None:
    with pytest.raises(CorruptDataError, match=r"memory://corpus lists utterance 'b' twice: make it anew"):
        look({0: ["a", "b", "c", "d"], 1: ["e", "f", "g"], 2: ["b"]})


def test_records_come_in_order_and_by_key(run: int) -> None:
    random = np.random.default_rng(run)
    records, other = Records(), Records()
    frames = random.integers(1, 9, 40).astype(np.int32)
    keys = random.integers(-(2**63), 2**63 - 1, 40)
    for some in np.split(np.arange(40), [1, 1, 8, 30]):
        records.append(keys[some], frames[some], frames[some].astype(np.uint32))
    other.append(keys[5:9], frames[5:9], np.zeros(4, np.uint32))
    assert np.concatenate(list(records.frames())).tolist() == frames.tolist()
    met = [(ours["row"].tolist(), theirs["key"].tolist()) for ours, theirs in by_key(records, other)]
    assert [row for ours, _ in met for row in ours] == np.argsort(keys).tolist()
    assert all(set(theirs) <= {int(keys[row]) for row in ours} for ours, theirs in met)
    assert sum(len(theirs) for _, theirs in met) == 4


def test_few_records_stay_in_memory_and_nothing_is_left_of_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.setattr(spilled, "RUN", 4)
    assert len(look({0: ["a", "b", "c", "d"]})) == 4
    with pytest.raises(StorageError, match=r"24 bytes an utterance in a temporary file, in .*gone.*TMPDIR"):
        look({0: ["a", "b", "c", "d", "e"]})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = look({0: ["a", "b", "c", "d", "e"]})
    assert not list(tmp_path.iterdir())
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    del found
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) < descriptors
