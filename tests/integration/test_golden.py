"""Golden stores: what a release of format version 1 has written must be read by every later one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import softstore
from softstore.codec_arrays import read_codec_arrays
from softstore.codecs import CODECS as KNOWN
from softstore.codecs import FittedToSample
from softstore.compact import compact
from softstore.format import MANIFEST, Attributes
from softstore.frames import Frames
from softstore.manifest import OF_A_SHARD, PLACEMENT
from softstore.parts import part_from_bytes, part_to_bytes
from softstore.sharding import encode_shard
from softstore.softening import kl_divergence, log_soften
from softstore.storage import open_storage
from softstore.verify import verify
from softstore.writer import create, update_attributes
from tests.document_reader import DocumentReader, checked_part, crc32c, decoded_shard
from tests.golden.make import (
    CODECS,
    COMPACTED,
    GOLDEN,
    LENGTHS,
    MAX_KL,
    MAX_MEAN_KL,
    compressors,
    features,
    logits,
    write_store,
)

Tracks = dict[str, NDArray[Any]]


@pytest.fixture(params=CODECS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(name: str) -> Path:
    return GOLDEN / name / "store"


@pytest.fixture
def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / name / "expected.json").read_text())
    return found


def stored_tracks(reader: DocumentReader, shard: int) -> Tracks:
    """What a shard was written from: padded rows of every track, and the used ones of ragged tracks."""
    rows = [row for row in reader.rows.values() if row["shard"] == shard]
    first, block = shard * reader.attributes["shard_frames"], reader.attributes["block_frames"]
    used = -(-(rows[-1]["first_frame"] + rows[-1]["num_frames"] - first) // block) * block
    ragged = sum(row.get("num_overflow") or 0 for row in rows)
    specs = reader.attributes["tracks"].items()
    return {track: reader.track(track, first, ragged if spec["ragged"] else used) for track, spec in specs}


def test_every_codec_has_a_golden_store() -> None:
    assert set(KNOWN) == set(CODECS) == {found.name for found in GOLDEN.iterdir()}


def test_it_opens_and_decodes(path: Path, expected: dict[str, Any]) -> None:
    store, reader = softstore.open(path), DocumentReader(path)
    assert list(expected["utterances"]) == list(LENGTHS) == store.utterances().ids
    for utterance_id, wanted in expected["utterances"].items():
        utterance = store[utterance_id]
        assert utterance.num_frames == LENGTHS[utterance_id]
        np.testing.assert_array_equal(utterance.features(), features(utterance_id))
        np.testing.assert_array_equal(utterance.labels(), logits(utterance_id).argmax(axis=1))
        for temperature, posteriors in wanted["posteriors"].items():
            found = utterance.posteriors(float(temperature))
            np.testing.assert_allclose(found[wanted["frames"]], posteriors, atol=1e-4)
            by_document = np.exp(reader.log_posteriors(utterance_id, float(temperature)))
            np.testing.assert_allclose(found, by_document, atol=1e-4)


def test_its_manifest_says_what_was_added(path: Path, name: str) -> None:
    store = softstore.open(path)
    assert store.attributes.teacher is not None
    assert store.attributes.teacher.description == {"größe": 1e-7}
    assert store.attributes.compacted == ([(0, 1)] if name == COMPACTED else [])
    columns = store.manifest.table.select(["shard", "speaker", "split", "text", "snr_db"]).to_pylist()
    assert [tuple(row.values()) for row in columns] == [
        (0, "speaker 0", "train", "the quick brown fox", 0.0),
        (0, "speaker 1", "train", "the quick brown fox", None),
        (1, "speaker 0", "cv", "the quick brown fox", 5.0),
    ]


def test_its_certificate_holds(path: Path, name: str) -> None:
    for utterance in softstore.open(path).scan():
        log_p = log_soften(torch.from_numpy(logits(utterance.utterance_id)), 1.0)
        for temperature in (1, 2, 4, 8):
            log_q = torch.from_numpy(utterance.log_posteriors(temperature))
            kl = kl_divergence(log_soften(log_p, temperature), log_q)
            for which, found in (("mean", float(kl.mean())), ("max", float(kl.max()))):
                stored = utterance.row[f"{which}_kl_t{temperature}"]
                assert stored == pytest.approx(found, rel=1e-3, abs=1e-6)
                assert name != "transform" or stored <= MAX_KL
        assert name != "transform" or utterance.row["num_overflow"] > 0


def test_it_verifies(path: Path) -> None:
    report = verify(open_storage(path))
    assert (report.faults, report.orphans, report.checked.sampled) == ([], [], len(LENGTHS))


def test_the_same_posteriors_are_encoded_as_they_were(path: Path, name: str) -> None:
    """But for transform, whose corrections hang on the last bit of matrix products."""
    if name == "transform":
        return
    posteriors = softstore.open(GOLDEN / "float32" / "store")
    codec, reader = softstore.open(path).codec, DocumentReader(path)
    for utterance in posteriors.scan():
        log_p = torch.from_numpy(utterance.read("targets/log_posteriors"))
        first = reader.rows[utterance.utterance_id]["first_frame"]
        for track, found in codec.encode(log_p).items():
            stored = reader.track(f"targets/{track}", first, utterance.num_frames)
            if track == "tail":  # Sums of exponentials; one step of float16 is 2^-10 of it at most.
                np.testing.assert_allclose(found.astype(float), stored, rtol=2**-10)
            else:
                np.testing.assert_array_equal(found, stored)


def test_the_same_arrays_give_the_same_objects(tmp_path: Path, path: Path, expected: dict[str, Any]) -> None:
    """Byte for byte where the compressors are those of then; otherwise the same rows and metadata."""
    reader, golden = DocumentReader(path), Frames(open_storage(path))
    written = rewritten(
        tmp_path / "store", reader, golden.attributes, read_codec_arrays(golden.storage, golden.attributes)
    )
    same_bytes = compressors() == expected["compressors"]
    for file in path.rglob("*"):
        copy = tmp_path / "store" / file.relative_to(path)
        track = str(file.relative_to(path)).partition("/c/")[0]
        if file.is_dir() or track.startswith(MANIFEST + "/0"):
            continue
        if (file.name == "zarr.json" and file.parent != path) or same_bytes:
            assert copy.read_bytes() == file.read_bytes(), file
        elif track in reader.attributes["tracks"]:
            left, right = (decoded_shard(f.read_bytes(), reader.attributes, track) for f in (copy, file))
            np.testing.assert_array_equal(left, right)
    assert written.rows.keys() == reader.rows.keys()
    for row, other in zip(reader.rows.values(), written.rows.values(), strict=True):
        assert row == other or not same_bytes


def rewritten(path: Path, reader: DocumentReader, attributes: Attributes, arrays: Tracks) -> DocumentReader:
    """The store written again from what it holds."""
    placement = {"shard", "first_frame", "features_crc32c", *OF_A_SHARD}
    changing: dict[str, Any] = {"shards": 0, "complete": None, "compacted": []}
    writer = create(open_storage(path, writable=True), attributes.model_copy(update=changing), arrays)
    writer.allocate(attributes.shards)
    for shard in range(attributes.shards):
        rows = [row for row in reader.rows.values() if row["shard"] == shard]
        own = [{key: value for key, value in row.items() if key not in placement} for row in rows]
        histogram = {f"{found['temperature']:g}": found["frames"] for found in rows[0]["kl_histogram"]}
        assert writer.write_shard(shard, own, stored_tracks(reader, shard), histogram)
    update_attributes(writer.storage, {"complete": attributes.complete})
    if attributes.compacted:
        compact(writer.storage)
    return DocumentReader(path)


def test_todays_code_writes_stores_as_good(tmp_path: Path, path: Path, name: str) -> None:
    write_store(tmp_path / "store", CODECS[name])
    golden, fresh = softstore.open(path), softstore.open(tmp_path / "store")
    assert fresh.manifest.table.schema == golden.manifest.table.schema
    if isinstance(CODECS[name], FittedToSample):
        # A basis comes out a little different elsewhere, and with it what is rounded where.
        for found in fresh.certificate().kl:
            assert found.mean <= MAX_MEAN_KL
            assert found.max <= MAX_KL
        return
    assert fresh.attributes.tracks == golden.attributes.tracks
    assert fresh.attributes.codec == golden.attributes.codec
    for utterance in golden.scan():
        again = fresh[utterance.utterance_id].posteriors(2.0)
        np.testing.assert_allclose(again, utterance.posteriors(2.0), atol=2e-3)


def test_checksum_of_a_manifest_part() -> None:
    data = (GOLDEN / "float32" / "store" / "manifest" / "000000.parquet").read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    assert data[footer - 8 : footer].hex(" ") == TRAILER
    table = part_from_bytes(data, "golden")
    assert table.equals(checked_part(data).replace_schema_metadata(None))
    today = part_to_bytes(table)
    assert checked_part(today).equals(table)
    footer = len(today) - 8 - int.from_bytes(today[-8:-4], "little")
    assert today[footer - 8 : footer - 4] == b"SSCK"
    assert set(table.column_names) >= PLACEMENT.keys() | OF_A_SHARD.keys()


TRAILER = "53 53 43 4b b6 9a 4e fe"


def test_bytes_of_a_small_shard() -> None:
    """Two columns of chunks; stored uncompressed in their frames, as every version of zstd does it."""
    rows = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], np.uint8)
    assert encode_shard(rows, 6, 2, chunk_width=2).hex(" ") == " ".join(
        [
            "28 b5 2f fd 20 04 21 00 00 01 02 05 06 b3 9e c6 df",
            "28 b5 2f fd 20 04 21 00 00 03 04 07 08 ec c4 2d 3a",
            "28 b5 2f fd 20 04 21 00 00 09 0a 00 00 d3 dd 5a 6a",
            "28 b5 2f fd 20 04 21 00 00 0b 0c 00 00 45 08 8c 04",
            "00 00 00 00 00 00 00 00 11 00 00 00 00 00 00 00",
            "11 00 00 00 00 00 00 00 11 00 00 00 00 00 00 00",
            "22 00 00 00 00 00 00 00 11 00 00 00 00 00 00 00",
            "33 00 00 00 00 00 00 00 11 00 00 00 00 00 00 00",
            *4 * ["ff ff ff ff ff ff ff ff"],
            "0b a9 8e b0",
        ]
    )


def test_bytes_of_a_shard_without_rows() -> None:
    index = b"\xff" * 32
    empty = encode_shard(np.empty((0, 3), np.float32), 4, 2)
    assert empty == index + crc32c(index).to_bytes(4, "little")
    assert empty[-4:].hex(" ") == "43 ab a8 62"
