"""docs/format.md against stores of every codec: read by that page alone, they are what softstore reads."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import softstore
from softstore import Corpus, Fidelity, Store
from softstore.codecs import Codec, FittedToSample, Float16, Float32, Parameters, TopK, Transform, UInt8
from softstore.codecs.transform.codebook import Codebooks
from softstore.compact import compact
from softstore.indexing import write_index
from softstore.parts import read_attributes
from softstore.sharding import encode_shard
from softstore.storage import open_storage
from tests.document_reader import (
    DocumentReader,
    checked_part,
    checked_root,
    crc32c,
    decoded_shard,
    log_softmax,
    sha256,
    shard_rows,
    topk,
    transform,
)
from tests.samples import make_store

DOCUMENT = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
CLASSES = 600
BOUND = 0.1
LENGTHS = {"first": 60, "ü / 2": 70, "third": 41, "fourth": 110, "last": 7}
NOISY = ("first", "third")
CODECS: dict[str, Codec | FittedToSample] = {
    "float32": Float32(),
    "float16": Float16(),
    "uint8": UInt8(),
    "topk": TopK(k=20),
    "transform": Parameters(step=0.25, refined=0),
    "escalated": Fidelity(max_mean_kl=0.05, max_kl=BOUND),
}


@cache
def logits(utterance_id: str) -> NDArray[np.float32]:
    """Of rank 30, but every 9th frame of two is noise that the basis does not know, more and more of it."""
    random = np.random.default_rng(sum(map(ord, utterance_id)))
    weights = np.random.default_rng(0).normal(size=(30, CLASSES))
    found = random.normal(size=(LENGTHS[utterance_id], 30)) @ weights
    if utterance_id in NOISY:
        noise = random.choice([-1.0, 1.0], size=found[::9].shape)
        found[::9] = np.linspace(0.1, 3, len(noise))[:, None] * noise
    return found.astype(np.float32)


@pytest.fixture(scope="module", params=CODECS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("document") / "store"
    codec = CODECS[request.param]
    if isinstance(codec, FittedToSample):
        clean = [torch.from_numpy(logits(name)) for name in LENGTHS if name not in NOISY]
        codec = codec.fit([torch.log_softmax(sample, dim=-1) for sample in clean])
    with softstore.create(
        path,
        class_count=CLASSES,
        codec=codec,
        teacher="mine",
        description={"größe": 1e-7},
        shard_frames=256,
        chunk_frames=32,
    ) as recorder:
        for name in LENGTHS:
            z = logits(name)
            recorder.add(name, z, features=z[:, :3], labels=z.argmax(axis=1), snr_db=1.5)
    return softstore.open(path)


@pytest.fixture(scope="module")
def reader(store: Store) -> DocumentReader:
    return DocumentReader(store.url)


@pytest.mark.parametrize("temperature", [1.0, 2.7])
def test_posteriors(store: Store, reader: DocumentReader, temperature: float) -> None:
    assert list(reader.rows) == [utterance.utterance_id for utterance in store.scan()]
    for name, frames in LENGTHS.items():
        for start, stop in ((0, frames), (frames // 3, frames - 1), (frames - 1, frames), (3, 6)):
            expected = store[name].log_posteriors(temperature, start, stop)
            found = reader.log_posteriors(name, temperature, start, stop)[: stop - start]
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-4)


def test_certificate(reader: DocumentReader) -> None:
    edges = 10 ** (-9 + np.arange(111) / 10)
    first_rows = [row for row in reader.rows.values() if row["objects"] is not None]
    assert len(first_rows) == len({row["shard"] for row in reader.rows.values()}) == 2
    for temperature in reader.attributes["certificate_temperatures"]:
        by_shard: dict[int, list[NDArray[Any]]] = {}
        for name, row in reader.rows.items():
            log_p = log_softmax(log_softmax(logits(name).astype(float)) / temperature)
            kl = (np.exp(log_p) * (log_p - reader.log_posteriors(name, temperature))).sum(axis=1)
            by_shard.setdefault(row["shard"], []).append(kl)
            assert row[f"mean_kl_t{temperature:g}"] == pytest.approx(kl.mean(), rel=1e-3, abs=2e-6)
            assert row[f"max_kl_t{temperature:g}"] == pytest.approx(kl.max(), rel=1e-3, abs=2e-6)
            if temperature == 1:
                assert row["entropy"] == pytest.approx(-(np.exp(log_p) * log_p).sum(axis=1).mean(), rel=1e-4)
        for row in first_rows:
            counts = next(e["frames"] for e in row["kl_histogram"] if e["temperature"] == temperature)
            kl = np.concatenate(by_shard[row["shard"]])
            assert (len(counts), sum(counts)) == (112, len(kl))
            for edge, below in zip(edges, np.cumsum(counts), strict=False):
                assert (kl < 0.99 * edge - 2e-6).sum() <= below <= (kl < 1.01 * edge + 2e-6).sum()


def test_bound_and_escalated_frames(reader: DocumentReader) -> None:
    codec = reader.attributes["codec"]
    if codec.get("max_kl") is None:
        assert not any(spec["ragged"] for spec in reader.attributes["tracks"].values())
        return
    assert codec["asked"] == {"max_mean_kl": 0.05, "max_kl": BOUND}
    for row in reader.rows.values():
        assert all(row[f"max_kl_t{t}"] <= BOUND for t in (1, 2, 4, 8))
        counts = reader.track("targets/overflow_rows", row["first_frame"], row["num_frames"])
        assert counts.sum() == row["num_overflow"]
    row = reader.rows["third"]
    counts = reader.track("targets/overflow_rows", row["first_frame"], row["num_frames"])
    # Some of the classes, or all: 3 rows of 256.
    assert {0, 1, 3} == set(counts.tolist())
    classes = reader.track("targets/overflow_classes", row["first_overflow"], row["num_overflow"])
    whole = classes[counts[: int(np.flatnonzero(counts == 3)[0])].sum() :][:3]
    assert set(whole.flatten().tolist()) == set(range(CLASSES))
    assert (whole[-1, CLASSES - 512 :] == whole[-1, -1]).all()


def test_every_object_by_hand(reader: DocumentReader) -> None:
    """Sizes, checksums, and the layout of shards: rows are those that zarr sees."""
    attributes = reader.attributes
    listed = set()
    for row in reader.rows.values():
        for entry in row["objects"] or ():
            data = (reader.path / entry["path"]).read_bytes()
            assert (len(data), sha256(data)) == (entry["size"], entry["sha256"])
            track = entry["path"].partition("/c/")[0]
            found = decoded_shard(data, attributes, track)
            room = shard_rows(attributes, attributes["tracks"][track])
            seen = reader.track(track, row["shard"] * room, room)
            np.testing.assert_array_equal(found, seen[: len(found)])
            assert not seen[len(found) :].any()
            listed.add(entry["path"])
    stored = {str(path.relative_to(reader.path)) for path in reader.path.rglob("*") if path.is_file()}
    of_codec = {path for path in stored if path.startswith("codec/") and not path.endswith("zarr.json")}
    assert len(of_codec) == len(attributes["codec_arrays"]) == len(reader.codec_arrays)
    rest = stored - listed - of_codec
    assert all(path.endswith(("zarr.json", ".parquet")) for path in rest)


def test_placement_and_features(store: Store, reader: DocumentReader) -> None:
    attributes = reader.attributes
    block, shard_frames = attributes["block_frames"], attributes["shard_frames"]
    assert attributes["complete"] == {"shards": 2, "utterances": 5, "frames": sum(LENGTHS.values())}
    for row in reader.rows.values():
        padded = -(-row["num_frames"] // block) * block
        assert row["first_frame"] % block == 0
        assert row["first_frame"] // shard_frames == row["shard"]
        assert row["first_frame"] + padded <= (row["shard"] + 1) * shard_frames
        features = reader.track("features", row["first_frame"], padded)
        labels = reader.track("labels", row["first_frame"], padded)
        assert row["features_crc32c"] == crc32c(features[: row["num_frames"]].astype("<f4").tobytes())
        np.testing.assert_array_equal(features[: row["num_frames"]], store[row["utterance_id"]].features())
        np.testing.assert_array_equal(labels[: row["num_frames"]], store[row["utterance_id"]].labels())
        assert not features[row["num_frames"] :].any()
        assert not labels[row["num_frames"] :].any()
    for left, right in pairwise(reader.rows.values()):
        assert left["first_frame"] + left["num_frames"] <= right["first_frame"]


def test_widths_of_the_transform_codec(reader: DocumentReader) -> None:
    if reader.attributes["codec"]["name"] != "transform":
        return
    arrays = reader.codec_arrays
    groups, block = len(arrays["columns"]), reader.attributes["block_frames"]
    width = max(-(-groups // block), 1)
    width = -(-width // 32) * 32 if width > 32 else width
    spec = {"dtype": "uint8", "width": width, "chunk_width": min(32, width), "ragged": 0}
    assert reader.attributes["tracks"]["targets/coefficients"] == spec
    assert block == len(arrays["steps"])
    used = arrays["columns"][arrays["columns"] >= 0]
    assert len(set(used.tolist())) == len(used) > 0
    assert not arrays["words"].transpose(0, 2, 1)[arrays["columns"] < 0].any()


def test_every_metadata_object(reader: DocumentReader) -> None:
    """Section 5's table, and canonical JSON."""
    attributes = reader.attributes
    arrays = {
        f"codec/{key}-{entry['sha256'][:8]}": entry for key, entry in attributes["codec_arrays"].items()
    }
    for path in reader.path.rglob("zarr.json"):
        data, name = path.read_bytes(), str(path.parent.relative_to(reader.path))
        found = json.loads(data)
        assert json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == data
        if name in attributes["tracks"]:
            assert found == array_metadata(attributes, attributes["tracks"][name])
        elif name.startswith("codec/"):
            entry = arrays[name]
            assert found["chunk_grid"]["configuration"]["chunk_shape"] == found["shape"] == entry["shape"]
            assert found["codecs"] == packed(entry["dtype"])
            assert (found["data_type"], "dimension_names" in found) == (entry["dtype"], False)
        elif name != ".":
            assert found == {"zarr_format": 3, "node_type": "group", "attributes": {}}


def array_metadata(attributes: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    width = [spec["width"]] if spec["width"] else []
    chunk_width = [spec["chunk_width"] or spec["width"]] if spec["width"] else []
    sharding = {
        "chunk_shape": [attributes["chunk_frames"], *chunk_width],
        "codecs": packed(spec["dtype"]),
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    rows = shard_rows(attributes, spec)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "attributes": {},
        "storage_transformers": [],
        "shape": [attributes["shards"] * rows, *width],
        "data_type": spec["dtype"],
        "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [rows, *width]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "dimension_names": ["row" if spec["ragged"] else "frame", *(None for _ in width)],
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }


def packed(dtype: str) -> list[dict[str, Any]]:
    little: dict[str, Any] = {"name": "bytes"}
    if np.dtype(dtype).itemsize > 1:
        little["configuration"] = {"endian": "little"}
    zstd = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
    return [little, zstd, {"name": "crc32c"}]


def test_damage_is_seen_by_the_documents_checksums(reader: DocumentReader) -> None:
    root, part = (
        bytearray((reader.path / name).read_bytes()) for name in ("zarr.json", "manifest/000000.parquet")
    )
    root[root.index(b'"chunk_frames":32') + 15] ^= 1
    with pytest.raises(AssertionError, match="the root is damaged"):
        checked_root(bytes(root))
    part[len(part) // 2] ^= 1
    with pytest.raises(AssertionError, match="the part is damaged"):
        checked_part(bytes(part))


def test_compacted_parts(tmp_path: Path) -> None:
    with softstore.create(
        tmp_path, class_count=9, codec=Float32(), teacher="mine", shard_frames=16, chunk_frames=8
    ) as recorder:
        for number in range(5):
            recorder.add(str(number), np.full((10, 9), 0.5), odd=True if number % 2 else None)
    before = DocumentReader(tmp_path).rows
    compact(open_storage(tmp_path, writable=True), max_shards=3)
    after = DocumentReader(tmp_path)
    assert after.attributes["compacted"] == [[0, 2], [3, 4]]
    assert [len(part) for part in after.parts] == [3, 2]
    assert after.rows == before
    assert (after.rows["1"]["odd"], after.rows["0"]["odd"]) == (True, None)


def test_the_index_of_ids(tmp_path: Path) -> None:
    with softstore.create(
        tmp_path, class_count=9, codec=Float32(), teacher="mine", shard_frames=16, chunk_frames=8
    ) as recorder:
        for number in range(20):
            recorder.add(f"ü{number}", np.full((10, 9), 0.5))
    assert DocumentReader(tmp_path).indexed("ü7") is None
    storage = open_storage(tmp_path, writable=True)
    write_index(storage, read_attributes(storage))
    reader = DocumentReader(tmp_path)
    assert reader.attributes["id_index"].keys() == {"name", "buckets", "shards", "utterances"}
    assert reader.attributes["id_index"]["shards"] == [[0, 19]]
    for utterance_id, row in reader.rows.items():
        assert reader.indexed(utterance_id) == {row["shard"]}
    assert reader.indexed("nobody") == set()


def test_runs_have_the_fields_of_the_document(tmp_path: Path, corpus: Corpus) -> None:
    table = DOCUMENT.partition("### Runs")[2].partition("\n## ")[0]
    names = [
        cell
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for cell in re.findall(r"`(\w+)`", row)
    ]
    make_store(tmp_path / "store", corpus)
    attributes = DocumentReader(tmp_path / "store").attributes
    (run,) = attributes["runs"]
    assert run.keys() == set(names)
    features = json.dumps(attributes["features"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert run["features"] == sha256(features.encode())
    assert run["teacher"] == attributes["teacher"]["fingerprint"]
    assert (run["utterances"], run["shards"], run["skipped"]) == (len(corpus), len(corpus.manifest.shards), 0)
    assert "skipped" not in attributes
    assert "runs" not in DocumentReader(corpus.url).attributes


def test_example_of_a_shard() -> None:
    data = encode_shard(np.array([3, 1, 4, 1, 5], np.uint16), 8, 2)
    shown = DOCUMENT.partition("so R = 4 and K = 1")[2].partition("```")[2].partition("```")[0]
    written = bytes.fromhex("".join(line.partition("      ")[0] for line in shown.splitlines()))
    assert len(written) == len(data) == 119
    spec = {"dtype": "uint16", "width": None, "chunk_width": None, "ragged": 0}
    attributes = {"shard_frames": 8, "chunk_frames": 2, "tracks": {"labels": spec}}
    assert decoded_shard(written, attributes, "labels").tolist() == [3, 1, 4, 1, 5, 0]
    assert decoded_shard(data, attributes, "labels").tolist() == [3, 1, 4, 1, 5, 0]
    assert data == written
    assert crc32c(b"123456789") == 3808858755


def shown_posteriors(section: str) -> list[list[float]]:
    """The last column of a section's example."""
    example = DOCUMENT.partition(f"### {section}")[2].partition("**Example.**")[2]
    table = example.partition("\n|")[2].partition("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    return [[float(p) for p in row[-1].split()] for row in rows]


def test_example_of_topk() -> None:
    codec = TopK(2, (1.0, 0.5))
    stored: dict[str, NDArray[Any]] = {
        "classes": np.array([[3, 0, 0, 0]], np.uint8),
        "log_posteriors": np.array([[128, 128, 0, 1]], np.uint8),
        "tail": np.array([[-1.354, -0.1278]], np.float16),
    }
    tensors = {name: torch.from_numpy(array) for name, array in stored.items()}
    shown = shown_posteriors("10.4")
    for temperature, expected in zip((0.8, 1, 1.5, 2, 4), shown, strict=True):
        found = topk(stored, codec.config(), 5, temperature)
        np.testing.assert_allclose(np.exp(found), [expected], atol=6e-5)
        np.testing.assert_allclose(codec.decode(tensors, 5, temperature).exp(), [expected], atol=6e-5)


def test_example_of_transform() -> None:
    words = np.zeros((2, 256, 1), np.int8)
    words[0, 1], words[1, 2] = 2, -1
    codec = Transform(
        np.array([1, 0, -1], np.float32),
        np.array([[0.5, 0.5, -1]], np.float16),
        np.array([[0.5], [0.25]], np.float32),
        Codebooks(np.array([[0], [1]], np.int32), words),
        refined=1,
        refined_step=0.5,
        max_kl=None,
        asked={},
    )
    stored = {
        "coefficients": np.array([[1], [2]], np.uint8),
        "refined": np.array([[2, 0, 126], [0, 0, 129]], np.uint8),
    }
    assert codec.tracks(3)["coefficients"].width == 1
    tensors = {name: torch.from_numpy(array) for name, array in stored.items()}
    shown = shown_posteriors("10.5")
    by_document = transform(stored, codec.config(), codec.arrays())
    np.testing.assert_allclose(np.exp(log_softmax(by_document)), shown, atol=6e-5)
    np.testing.assert_allclose(codec.decode(codec.unpack(tensors), 3).exp(), shown, atol=6e-5)
