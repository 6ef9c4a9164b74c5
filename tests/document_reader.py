"""A reader of stores written from docs/format.md alone: zarr, numpy and Parquet, nothing of softstore.

Section numbers are those of that page. Slow and simple on purpose.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

Array = NDArray[Any]


def _castagnoli() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _castagnoli()


def crc32c(data: bytes) -> int:
    """Section 1."""
    value = 2**32 - 1
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 255]
    return value ^ 2**32 - 1


def sha256(data: bytes) -> str:
    """Section 1."""
    return hashlib.sha256(data).hexdigest()


def checked_root(data: bytes) -> dict[str, Any]:
    """Section 3: the attributes, from bytes whose checksum matches."""
    found = re.fullmatch(
        rb'\{"attributes":\{"softstore":(.*),"softstore_crc32c":(\d+)\},"node_type":"group","zarr_format":3\}',
        data,
        re.DOTALL,
    )
    assert found, "the root is not canonical"
    assert crc32c(found[1]) == int(found[2]), "the root is damaged"
    attributes: dict[str, Any] = json.loads(found[1])
    assert attributes["format"] == 1
    return attributes


def checked_part(data: bytes) -> pa.Table:
    """Section 8: a manifest part, from bytes whose checksum matches."""
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    assert data[footer - 8 : footer - 4] == b"SSCK"
    checksum = int.from_bytes(data[footer - 4 : footer], "little")
    assert checksum == crc32c(data[: footer - 8] + data[footer:]), "the part is damaged"
    return pq.read_table(pa.BufferReader(data))


def shard_rows(attributes: dict[str, Any], spec: dict[str, Any]) -> int:
    """Section 5: rows that a shard of a track has room for."""
    return int(attributes["shard_frames"] * max(spec["ragged"], 1))


def decoded_shard(data: bytes, attributes: dict[str, Any], track: str) -> Array:
    """Section 6: all rows of a shard object that are there, every checksum checked."""
    spec = attributes["tracks"][track]
    dtype = np.dtype(spec["dtype"]).newbyteorder("<")
    width = spec["width"] or 1
    chunk_width = spec["chunk_width"] or width
    columns = width // chunk_width
    chunks = shard_rows(attributes, spec) // attributes["chunk_frames"]
    body, index = data[: -16 * chunks * columns - 4], data[-16 * chunks * columns - 4 :]
    assert crc32c(index[:-4]) == int.from_bytes(index[-4:], "little")
    pairs = np.frombuffer(index[:-4], "<u8").reshape(chunks, columns, 2)
    rows: list[Array] = []
    end = 0
    for row in pairs.tolist():
        if row[0][0] == 2**64 - 1:
            break
        pieces = []
        for offset, length in row:
            assert offset == end
            end = offset + length
            frame, checksum = body[offset : end - 4], body[end - 4 : end]
            assert crc32c(frame) == int.from_bytes(checksum, "little")
            pieces.append(np.frombuffer(Zstd().decode(frame), dtype).reshape(-1, chunk_width))
        rows.append(np.concatenate(pieces, axis=1))
    assert end == len(body)
    assert (pairs[len(rows) :] == 2**64 - 1).all()
    found = np.concatenate(rows) if rows else np.empty((0, width), dtype)
    return found if spec["width"] else found[:, 0]


def log_softmax(logits: Array) -> Array:
    """Section 9."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return cast(Array, shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def low_and_high(rows: Array) -> Array:
    """Numbers of 16 bits from low bytes and high bytes (section 10.4)."""
    low, high = np.split(rows.astype(np.int64), 2, axis=1)
    return low + 256 * high


def topk(tracks: dict[str, Array], codec: dict[str, Any], class_count: int, temperature: float) -> Array:
    """Section 10.4: log p_T."""
    beta, k = 1 / temperature, codec["k"]
    log_p = -low_and_high(tracks["log_posteriors"]).cumsum(axis=1) / 256
    knots = [*codec["betas"], 0.0]
    values = [*tracks["tail"].astype(float).T, np.log(class_count - k)]
    n = next(n for n in range(1, len(knots)) if knots[n] <= beta)
    share = (beta - knots[n]) / (knots[n - 1] - knots[n])
    partition = values[n] + share * (values[n - 1] - values[n])
    if beta > knots[0]:
        partition = np.minimum(partition, beta / knots[0] * values[0])
    rows = np.tile((partition - np.log(class_count - k))[:, None], class_count)
    np.put_along_axis(rows, low_and_high(tracks["classes"]), beta * log_p, axis=1)
    return log_softmax(rows)


def transform(tracks: dict[str, Array], codec: dict[str, Any], arrays: dict[str, Array]) -> Array:
    """Section 10.5 without overflow: the logits of whole blocks."""
    block, rank = arrays["steps"].shape
    stored, columns, words = tracks["coefficients"], arrays["columns"], arrays["words"]
    frequency, frame = np.arange(block)[:, None], np.arange(block)
    cosines = np.cos(np.pi / block * frequency * (frame + 0.5)) * np.sqrt(2 / block)
    cosines[0] = np.sqrt(1 / block)
    blocks = stored.reshape(-1, block, stored.shape[1])
    coefficients = np.zeros((len(blocks), block * rank))
    for j, group in enumerate(columns):
        byte = blocks[:, j % block, j // block]
        used = group >= 0
        coefficients[:, group[used]] = words[j, byte][:, used]
    frequencies = coefficients.reshape(-1, block, rank) * arrays["steps"]
    logits: Array = arrays["mean"] + (cosines.T @ frequencies).reshape(-1, rank) @ arrays["basis"].astype(
        float
    )
    if codec["refined"]:
        low, high, value = np.split(tracks["refined"].astype(np.int64), 3, axis=1)
        classes = (low + 256 * high).cumsum(axis=1)
        for row, (wanted, steps) in enumerate(zip(classes, value - 128, strict=True)):
            logits[row, wanted] += steps * codec["refined_step"]
    return logits


class DocumentReader:
    """A store in a local directory."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.attributes = checked_root((self.path / "zarr.json").read_bytes())
        self.group = zarr.open_group(self.path, mode="r")
        self._tracks: dict[str, Array] = {}

    @cached_property
    def parts(self) -> list[pa.Table]:
        """Section 8: of all published shards, in order."""
        parts = []
        shard = 0
        compacted = dict(self.attributes["compacted"])
        while shard < self.attributes["shards"]:
            last = compacted.get(shard, shard)
            name = f"{shard:06d}" if last == shard else f"{shard:06d}-{last:06d}"
            file = self.path / "manifest" / f"{name}.parquet"
            if file.exists():
                parts.append(checked_part(file.read_bytes()))
                assert sorted(set(parts[-1]["shard"].to_pylist())) == list(range(shard, last + 1))
            else:
                assert last == shard >= self.attributes["complete"]["shards"], f"{file} is lost"
            shard = last + 1
        return parts

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Manifest rows by utterance id; columns that a part does not have are null."""
        absent = dict.fromkeys(name for part in self.parts for name in part.column_names)
        return {row["utterance_id"]: absent | row for part in self.parts for row in part.to_pylist()}

    def indexed(self, utterance_id: str) -> set[int] | None:
        """Section 8: covered shards that may have this id; None: there is no index."""
        index = self.attributes.get("id_index")
        if index is None:
            return None
        checksum = crc32c(utterance_id.encode())
        bucket = checksum * index["buckets"] // 2**32
        data = (self.path / "manifest" / "ids" / index["name"] / str(bucket)).read_bytes()
        assert int.from_bytes(data[-4:], "little") == crc32c(data[:-4])
        entries = np.frombuffer(data[:-4], "<u8").tolist()
        assert entries == sorted(entries)
        shards = {entry % 2**32 for entry in entries if entry // 2**32 == checksum}
        return {shard for shard in shards if any(a <= shard <= b for a, b in index["shards"])}

    @cached_property
    def codec_arrays(self) -> dict[str, Array]:
        """Section 7."""
        found = {}
        for name, entry in self.attributes["codec_arrays"].items():
            array = self.path / "codec" / f"{name}-{entry['sha256'][:8]}"
            data = array.joinpath("c", *("0" for _ in entry["shape"])).read_bytes()
            assert (len(data), sha256(data)) == (entry["size"], entry["sha256"])
            assert crc32c(data[:-4]) == int.from_bytes(data[-4:], "little")
            values = np.frombuffer(Zstd().decode(data[:-4]), np.dtype(entry["dtype"]).newbyteorder("<"))
            found[name] = values.reshape(entry["shape"])
        return found

    def track(self, name: str, first: int, count: int) -> Array:
        """Rows of a track, by zarr."""
        if name not in self._tracks:
            array = self.group[name]
            assert isinstance(array, zarr.Array)
            self._tracks[name] = np.asarray(array[:])
        return self._tracks[name][first : first + count]

    def log_posteriors(
        self, utterance_id: str, temperature: float = 1.0, start: int = 0, stop: int | None = None
    ) -> Array:
        """Section 10: log p_T of a span."""
        row, codec = self.rows[utterance_id], self.attributes["codec"]
        stop = row["num_frames"] if stop is None else stop
        block = self.attributes["block_frames"]
        first = start // block * block
        count = -(-stop // block) * block - first
        names = [name for name, spec in self.attributes["tracks"].items() if not spec["ragged"]]
        tracks = {
            name.removeprefix("targets/"): self.track(name, row["first_frame"] + first, count)
            for name in names
            if name.startswith("targets/")
        }
        match codec["name"]:
            case "topk":
                return topk(tracks, codec, self.attributes["class_count"], temperature)
            case "float32" | "float16":
                logits = tracks["log_posteriors"].astype(float)
            case "uint8":
                logits = -tracks["step"].astype(float)[:, None] * tracks["steps_below"]
            case "transform":
                logits = transform(tracks, codec, self.codec_arrays)
                if codec["max_kl"] is not None:
                    self._overflow(row, logits, first)
            case name:
                raise AssertionError(f"{name} is no codec")
        return log_softmax(logits[start - first : stop - first] / temperature)

    def _overflow(self, row: dict[str, Any], logits: Array, first: int) -> None:
        """Section 10.5: escalated frames; ``logits`` begins at frame ``first`` of the utterance."""
        counts = self.track("targets/overflow_rows", row["first_frame"], row["num_frames"]).astype(int)
        classes = self.track("targets/overflow_classes", row["first_overflow"], row["num_overflow"])
        values = self.track("targets/overflow_values", row["first_overflow"], row["num_overflow"])
        assert counts.sum() == row["num_overflow"]
        for frame in range(first, min(first + len(logits), row["num_frames"])):
            before = counts[:frame].sum()
            for n in range(before, before + counts[frame]):
                logits[frame - first, classes[n]] = values[n]
