"""Manifest parts as bytes, and looking things up in them."""

from __future__ import annotations

import io
import random
import re
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softstore.errors import CorruptDataError, InvalidInputError
from softstore.manifest import Manifest, ShardObject, join, shard_table, utterance_table
from softstore.parts import part_from_bytes, part_spans, part_to_bytes

SHA256 = "0123456789abcdef" * 4


def row(utterance_id: str, shard: int, **extra: Any) -> dict[str, Any]:
    placed = {"first_frame": 512 * shard, "num_frames": 5, "features_crc32c": 4_000_000_000}
    return {
        "utterance_id": utterance_id,
        "shard": shard,
        "speaker": "s",
        "split": "train",
        "text": "",
        **placed,
        **extra,
    }


def part(shard: int, *utterance_ids: str, **extra: Any) -> pa.Table:
    rows = [row(utterance_id, shard, **extra) for utterance_id in utterance_ids]
    objects = {f"labels/c/{shard}": ShardObject(100 + shard, SHA256)}
    return shard_table(utterance_table(rows), objects, {"1": [shard, 2, 0], "2": [0, 1, 1]})


PART = part_to_bytes(part(0, "a", "b/ü", snr_db=3.5))


def test_every_flipped_bit_is_noticed() -> None:
    bits = range(8 * len(PART))
    for bit in random.Random(0).sample(bits, 3000):
        damaged = bytearray(PART)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptDataError, match="the part is damaged"):
            part_from_bytes(bytes(damaged), "the part")


def test_every_flipped_bit_around_the_checksum_is_noticed() -> None:
    begin = PART.index(b"SSCK")
    for bit in [*range(8 * begin, 8 * (begin + 8)), *range(8 * len(PART) - 64, 8 * len(PART))]:
        damaged = bytearray(PART)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptDataError, match="the part is damaged"):
            part_from_bytes(bytes(damaged), "the part")


@pytest.mark.parametrize("size", [0, 1, 7, 8, 16, len(PART) // 2, len(PART) - 1])
def test_a_part_cut_short_is_damaged(size: int) -> None:
    with pytest.raises(CorruptDataError, match="the part is damaged"):
        part_from_bytes(PART[:size], "the part")


def test_a_parquet_file_that_is_no_part_is_damaged() -> None:
    with pytest.raises(CorruptDataError, match="lacks the column"):
        part_from_bytes(part_to_bytes(pa.table({"x": [1]})), "the part")


def test_a_plain_parquet_reader_reads_a_part() -> None:
    table = pq.read_table(io.BytesIO(PART), page_checksum_verification=True)
    assert table["utterance_id"].to_pylist() == ["a", "b/ü"]
    assert table["objects"].to_pylist()[0] == [{"path": "labels/c/0", "size": 100, "sha256": SHA256}]
    assert pq.ParquetFile(io.BytesIO(PART)).metadata.num_rows == 2


def test_parts_add_up() -> None:
    manifest = Manifest([part(0, "b", "a"), part(2, "c", snr_db=1.0), part(5, "d")])
    assert manifest.shards == [0, 2, 5]
    assert manifest.table["utterance_id"].to_pylist() == ["b", "a", "c", "d"]
    assert manifest.objects == {f"labels/c/{n}": ShardObject(100 + n, SHA256) for n in (0, 2, 5)}
    assert (manifest.kl_histogram(1), manifest.kl_histogram(2.0)) == ([7, 6, 0], [0, 3, 3])
    assert (len(manifest), manifest.frames) == (4, 20)
    assert (manifest.row("c")["snr_db"], manifest.row("b")["snr_db"]) == (1.0, None)


def test_merged_parts_say_what_the_single_ones_said() -> None:
    parts = [part(0, "b", "a"), part(1, "c", snr_db=1.0), part(2, "d")]
    one, many = Manifest([part_from_bytes(part_to_bytes(join(parts)), "merged")]), Manifest(parts)
    assert one.table.to_pylist() == many.table.to_pylist()
    assert (one.shards, one.objects) == (many.shards, many.objects)
    assert one.kl_histogram(2) == many.kl_histogram(2)


def test_an_empty_manifest() -> None:
    manifest = Manifest([])
    assert (len(manifest), manifest.frames, manifest.shards, manifest.objects) == (0, 0, [], {})
    assert manifest.kl_histogram(1.0) == []
    assert "a" not in manifest
    assert len(manifest.where(split="train")) == 0


IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), unique=True, max_size=40)


@settings(max_examples=60, deadline=None)
@given(IDS, st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
def test_any_id_is_found_where_it_lies(ids: list[str], other: str) -> None:
    manifest = Manifest([part(n, *ids[start : start + 7]) for n, start in enumerate(range(0, len(ids), 7))])
    for place, utterance_id in enumerate(ids):
        assert utterance_id in manifest
        found = manifest.row(utterance_id)
        assert (found["utterance_id"], found["shard"]) == (utterance_id, place // 7)
    assert (other in manifest) == (other in ids)
    if other not in ids:
        with pytest.raises(KeyError):
            manifest.row(other)
    assert list(manifest.by_utterance("shard")) == ids


def test_what_is_no_id_is_not_there() -> None:
    manifest = Manifest([part(0, "a")])
    assert 3 not in manifest
    assert None not in manifest
    assert "\ud800" not in manifest


def test_an_utterance_published_twice_is_named() -> None:
    with pytest.raises(CorruptDataError, match="utterance 'x' twice"):
        Manifest([part(0, "z", "x", "a"), part(1, "b", "x")])


def test_parts_that_do_not_fit_together_are_an_error() -> None:
    with pytest.raises(CorruptDataError, match=re.escape("do not fit together")):
        Manifest([part(0, "a", snr_db="loud"), part(1, "b", snr_db=1.0)])


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "without utterances"),
        ([row("a", 0, x=1), row("b", 0, x="one")], "cannot hold the column 'x'"),
        ([row("\ud800", 0)], "cannot hold the column 'utterance_id'"),
        ([row("a", 0, x=object())], "cannot hold the column 'x'"),
        ([row("a", 0, objects=1)], "'objects' has a meaning of its own"),
    ],
)
def test_rows_that_cannot_be_stored_are_named(rows: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        utterance_table(rows)


def test_columns_that_only_some_rows_have_are_kept() -> None:
    table = utterance_table([row("a", 0), row("b", 0, snr_db=2.0)])
    assert table["snr_db"].to_pylist() == [None, 2.0]


def test_the_parts_that_a_reader_asks_for() -> None:
    assert list(part_spans([], 2)) == [(0, 0), (1, 1)]
    assert list(part_spans([(1, 3), (4, 5)], 7)) == [(0, 0), (1, 3), (4, 5), (6, 6)]
