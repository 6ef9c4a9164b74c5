"""What a verification looks at, and what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
import torch
from typer.testing import CliRunner, Result

from softstore import Corpus, Store, create
from softstore.checks.report import Report
from softstore.checks.sample import entropy_bound
from softstore.cli import build
from softstore.codecs import Float16
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError
from softstore.format import manifest_part
from softstore.frames import Frames
from softstore.parts import part_to_bytes, read_part
from softstore.sharding import encode_shard, sha256
from softstore.storage import Storage, open_storage
from softstore.verify import verify
from softstore.writer import Writer, update_attributes
from tests.samples import CLASSES, LENGTHS, LinearTeacher, make_store
from tests.watched import clone, contents
from tests.web_server import web_server


@pytest.fixture
def own(store: Store) -> Storage:
    return clone(store.frames.storage, f"memory://{uuid4().hex}")


def softstore(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), ["verify", *map(str, arguments)])


def change(storage: Storage, shard: int, edit: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rewrite a manifest part, with a checksum that is right."""
    table = read_part(storage, (shard, shard))
    assert table is not None
    rows = table.to_pylist()
    edit(rows)
    changed = pa.Table.from_pylist(rows, table.schema)
    storage.put(manifest_part(shard, shard), part_to_bytes(changed))


def said(report: Report) -> str:
    assert len(report.faults) == 1
    return report.faults[0].message


def test_a_sound_store(store: Store) -> None:
    report = verify(store.frames.storage)
    checked = report.checked
    assert (report.sound, report.orphans, report.repaired) == (True, [], [])
    assert (checked.utterances, checked.frames) == (len(LENGTHS), sum(LENGTHS.values()))
    assert checked.sampled == len(LENGTHS)
    assert checked.shards == checked.parts == len(store.manifest.shards)
    assert checked.objects == len(store.manifest.objects)
    assert checked.bytes == sum(entry.size for entry in store.manifest.objects.values())


def test_a_corpus_too(corpus: Corpus) -> None:
    assert verify(corpus.frames.storage).sound


def test_progress_ends_where_it_should(store: Store) -> None:
    calls: list[tuple[str, int, int]] = []
    report = verify(store.frames.storage, sample=3, progress=lambda *call: calls.append(call))
    assert [call for call in calls if call[0] == "Reading"][-1][1:] == (report.checked.bytes,) * 2
    assert calls[-1] == ("Decoding", 3, 3)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda rows: rows[1].update(first_frame=rows[1]["first_frame"] - 1), "overlaps"),
        (lambda rows: rows[0].update(first_frame=-1), "does not lie in its shard"),
        (lambda rows: rows[-1].update(num_frames=1000), "does not lie in its shard"),
        (lambda rows: rows[0].update(num_frames=0), "has no frames"),
        (lambda rows: rows[1].update(num_frames=None), "a row has no num_frames"),
        (lambda rows: rows[1].update(utterance_id=None), "a row has no utterance_id"),
        (lambda rows: rows[1].update(utterance_id="g"), "'g' is there twice"),
        (lambda rows: rows[0].update(mean_kl_t2=math.nan), "mean_kl_t2 is not a number"),
        (lambda rows: rows[0].update(entropy=None), "entropy is not a number"),
        (lambda rows: rows[0].update(entropy=5.0), "entropy is not a number"),
        (lambda rows: rows[0].update(mean_kl_t4=rows[0]["max_kl_t4"] + 0.1), "larger than the largest"),
        (lambda rows: rows[0]["kl_histogram"][0]["frames"].__setitem__(3, 9999), "histogram"),
        (lambda rows: rows[0].update(objects=None), "objects are not all in its first row"),
        (lambda rows: rows[0]["objects"].pop(), "is not listed"),
        (lambda rows: rows[0]["objects"][0].update(path="elsewhere"), "elsewhere"),
        (lambda rows: rows.pop(), "is not of its 100 frames"),
    ],
)
def test_rows_that_make_no_sense(
    own: Storage, edit: Callable[[list[dict[str, Any]]], None], what: str
) -> None:
    change(own, 0, edit)
    report = verify(own, sample=0)
    assert any(what in fault.message for fault in report.faults), report.faults
    assert not report.sound


def test_columns_of_other_types(own: Storage) -> None:
    table = read_part(own, (1, 1))
    assert table is not None
    objects = [[{"name": "features/c/1/0"}], *([None] * (len(table) - 1))]
    for column, values, kind in (
        ("objects", objects, pa.list_(pa.struct({"name": pa.string()}))),
        ("num_frames", table["num_frames"].to_pylist(), pa.float64()),
        ("utterance_id", range(len(table)), pa.int64()),
    ):
        place = table.column_names.index(column)
        other = table.set_column(place, column, pa.array(values, kind))
        own.put("manifest/000001.parquet", part_to_bytes(other))
        assert f"manifest/000001.parquet is damaged: its column '{column}' holds" in said(verify(own))
        with pytest.raises(CorruptDataError, match=f"its column '{column}' holds"):
            _ = Frames(own).manifest
    own.put("manifest/000001.parquet", part_to_bytes(table.drop_columns(["text"])))
    assert "it lacks the column 'text'" in said(verify(own))


def rewrite(storage: Storage, shard: int, path: str, data: bytes) -> None:
    """An object of a shard, with a checksum that is right."""
    storage.put(path, data)

    def edit(rows: list[dict[str, Any]]) -> None:
        entry = next(entry for entry in rows[0]["objects"] if entry["path"] == path)
        entry.update(size=len(data), sha256=sha256(data))

    change(storage, shard, edit)


def test_labels_that_are_no_classes(own: Storage) -> None:
    rewrite(own, 0, "labels/c/0", encode_shard(np.full(400, CLASSES, np.uint16), 512, 64))
    report = verify(own)
    assert "none of the 120 classes" in said(report)
    assert report.reopen == set()


def test_chunks_that_are_not_there(own: Storage) -> None:
    rewrite(own, 0, "labels/c/0", encode_shard(np.zeros(64, np.uint16), 512, 64))
    assert "does not hold the chunks" in said(verify(own))


def test_posteriors_that_are_not_what_was_certified(tmp_path: Path, store: Store, own: Storage) -> None:
    path = "targets/log_posteriors/c/0/0"
    found = np.zeros((400, 32), np.uint8)
    rewrite(own, 0, path, encode_shard(found, 512, 64, 16))
    report = verify(own)
    assert {fault.kind for fault in report.faults} == {"decoding"}
    assert {fault.utterance_id for fault in report.faults} == {"a", "b"}
    assert verify(own, sample=0).sound


@pytest.mark.parametrize("classes", [3, 120])
def test_entropies_are_within_the_bound(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for spread in (0.01, 0.1, 1, 10):
        p = torch.randn(50, classes, generator=generator, dtype=torch.float64).mul(3).log_softmax(-1)
        q = (p + spread * torch.randn(50, classes, generator=generator)).log_softmax(-1)
        kl = (p.exp() * (p - q)).sum(-1)
        apart = ((q.exp() * q).sum(-1) - (p.exp() * p).sum(-1)).abs()
        assert all(far <= entropy_bound(float(k), classes) for far, k in zip(apart, kl, strict=True))
        assert float(apart.mean()) <= entropy_bound(float(kl.mean()), classes)
    assert entropy_bound(0.0, classes) == 0
    assert entropy_bound(1e9, classes) == pytest.approx(math.log(classes))


def test_the_teacher_is_asked_again(store: Store) -> None:
    report = verify(store.frames.storage, teacher=LinearTeacher())
    assert report.sound
    assert report.checked.teacher


def test_a_certificate_that_the_teacher_does_not_confirm(own: Storage) -> None:
    change(own, 0, lambda rows: rows[0].update(max_kl_t4=2 * rows[0]["max_kl_t4"]))
    assert verify(own).sound
    report = verify(own, teacher=LinearTeacher())
    assert "diverges from the teacher" in said(report)
    assert (report.faults[0].kind, report.faults[0].utterance_id) == ("teacher", "a")


def test_another_teacher_or_none_to_compare_with(store: Store, corpus: Corpus) -> None:
    with pytest.raises(ConflictError, match="another teacher"):
        verify(store.frames.storage, teacher=LinearTeacher(seed=1))
    with pytest.raises(InvalidInputError, match="no soft targets"):
        verify(corpus.frames.storage, teacher=LinearTeacher())


def test_orphans_are_listed_and_no_fault(own_store: Store) -> None:
    storage, root = own_store.frames.storage, Path(own_store.url)
    left = ["features/c/7/0", "manifest/000000-000001.parquet", "codec/old-01234567/c/0/0"]
    for path in left:
        storage.put(path, b"left")
    staged = root / "targets" / "classes" / "c" / "0" / "0#123"
    staged.write_bytes(b"half")
    report = verify(storage)
    assert report.sound
    assert {orphan.path: orphan.size for orphan in report.orphans} == dict.fromkeys(
        [*left, "targets/classes/c/0/0#123"], 4
    )
    found = softstore(own_store.url, "--repair")
    assert found.exit_code == 0
    assert "Deleted features/c/7/0" in found.output
    assert verify(storage).orphans == []
    assert not staged.exists()


def test_what_is_not_of_the_store_is_reported_and_left_alone(own_store: Store, corpus: Corpus) -> None:
    storage, root = own_store.frames.storage, Path(own_store.url)
    before = contents(storage)
    nested = make_store(root / "sub", corpus, Float16()).frames.storage
    mine = [
        "NOTES.md",
        "features/c/notes",
        "features/mine.npy",
        "lang/words.json",
        "manifest/1.parquet",
        "manifest/all.parquet",
        "manifest/zarr/000000.parquet",
        "old/zarr.json",
    ]
    for path in mine:
        storage.put(path, b"mine")
    (root / "take#7").write_bytes(b"mine")
    nested_before = contents(nested)
    report = verify(storage)
    assert (report.sound, report.orphans) == (True, [])
    expected = {*mine, "take#7", *(f"sub/{path}" for path in nested_before)}
    assert {found.path for found in report.foreign} == expected
    said = softstore(own_store.url, "--repair").output
    assert "NOTES.md is not of this store (4 bytes)." in said
    assert "Deleted" not in said
    assert contents(nested) == nested_before
    assert {path: data for path, data in contents(storage).items() if path in mine} == dict.fromkeys(
        mine, b"mine"
    )
    assert (root / "take#7").exists()
    assert before.items() <= contents(storage).items()
    assert {
        found["path"] for found in json.loads(softstore(own_store.url, "--json").stdout)["foreign"]
    } == expected


def test_a_run_that_is_not_finished_is_sound(own_store: Store) -> None:
    Writer(own_store.frames.storage, own_store.attributes).allocate(9)
    report = verify(own_store.frames.storage)
    assert report.sound
    assert report.checked.unpublished == 9 - report.checked.shards
    assert "run `softstore generate` again" in softstore(own_store.url).output


def test_shards_that_a_hole_hides(own_store: Store) -> None:
    """`complete` counts shards up to the first hole, but all utterances."""
    storage = own_store.frames.storage
    last = max(own_store.manifest.shards)
    complete = own_store.attributes.complete
    assert complete is not None
    update_attributes(storage, {"complete": complete.model_copy(update={"shards": last})})
    storage.delete(manifest_part(last, last))
    report = verify(storage)
    assert "a finished run had left" in report.faults[0].message


@pytest.fixture
def served(own_store: Store) -> Iterator[str]:
    with web_server(Path(own_store.url)) as url:
        yield url


def test_over_http_it_says_that_orphans_cannot_be_found(served: str) -> None:
    found = softstore(served)
    assert found.exit_code == 0
    assert "Sound" in found.output
    assert "Not checked for orphans" in found.output
    assert json.loads(softstore(served, "--json").stdout)["checked"]["listed"] is False


def test_json_of_faults(own_store: Store) -> None:
    dropped = own_store.manifest.table["shard"].to_pylist().count(1)
    assert dropped > 1
    (Path(own_store.url) / "labels/c/1").unlink()
    found = softstore(own_store.url, "--json")
    assert found.exit_code == 1
    report = json.loads(found.stdout)
    assert report["url"] == own_store.url
    assert report["sound"] is False
    assert report["repaired"] == []
    (fault,) = report["faults"]
    assert fault["message"].startswith("labels/c/1 is missing")
    del fault["message"]
    assert fault == {"kind": "object", "path": "labels/c/1", "shard": 1}
    repaired = json.loads(softstore(own_store.url, "--json", "--repair").stdout)
    assert repaired["repaired"] == [
        f"Re-opened shard 1, which drops {dropped} utterances: let whatever made the store "
        "(`softstore generate`, `softstore recode`, or your own recorder) make them again."
    ]
    assert json.loads(softstore(own_store.url, "--json").stdout)["sound"] is True


def test_what_people_read(own_store: Store) -> None:
    (Path(own_store.url) / "labels/c/1").unlink()
    found = softstore(own_store.url)
    assert found.exit_code == 1
    lines = found.stdout.splitlines()
    assert lines[0].startswith("✗ labels/c/1 is missing")
    assert lines[1].startswith("1 fault in 8 utterances")
    assert lines[2] == "`softstore verify --repair` does what repairing can."


def test_a_store_without_features_is_verified(tmp_path: Path) -> None:
    url = tmp_path / "recorded"
    with create(url, class_count=5, codec=Float16(), teacher="t") as recorder:
        recorder.add("a", np.zeros((7, 5), np.float32))
    storage = open_storage(url)
    assert verify(storage).sound
    with pytest.raises(InvalidInputError):
        verify(storage, teacher=LinearTeacher())
