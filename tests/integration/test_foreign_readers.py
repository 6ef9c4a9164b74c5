"""A store read without softstore: by zarr-python and by tensorstore, with the documented formulas."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorstore
import zarr
from numpy.typing import NDArray

from softstore import Corpus, Store
from softstore.codecs import Float16
from tests.samples import CLASSES, make_store


def by_zarr(url: str, track: str, first: int, count: int) -> NDArray[Any]:
    array = zarr.open_group(url, mode="r")[track]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[first : first + count])


def by_tensorstore(url: str, track: str, first: int, count: int) -> NDArray[Any]:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{url}/{track}/"}}
    array = tensorstore.open(spec, read=True).result()
    return np.asarray(array[first : first + count].read().result())


def manifest_rows(url: str) -> list[dict[str, Any]]:
    return [
        row
        for part in sorted(Path(url).glob("manifest/*.parquet"))
        for row in pq.read_table(part).to_pylist()
    ]


def joined(low_and_high: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers of 16 bits from k low bytes and k high bytes."""
    low, high = np.split(low_and_high.astype(np.int64), 2, axis=1)
    return low + 256 * high


@pytest.mark.parametrize("read", [by_zarr, by_tensorstore])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_topk_by_the_documented_formula(store: Store, read: Any, temperature: float) -> None:
    attributes = json.loads((Path(store.url) / "zarr.json").read_text())["attributes"]["softstore"]
    beta, betas = 1 / temperature, attributes["codec"]["betas"]
    for row in manifest_rows(store.url):
        span = row["first_frame"], row["num_frames"]
        classes = joined(read(store.url, "targets/classes", *span))
        steps = joined(read(store.url, "targets/log_posteriors", *span)).cumsum(axis=1)
        top = np.exp(-beta * steps / 256)
        tail = np.exp(read(store.url, "targets/tail", *span)[:, betas.index(beta)].astype(float))
        total = top.sum(axis=1) + tail
        posteriors = np.repeat(tail[:, None] / total[:, None] / (CLASSES - top.shape[1]), CLASSES, axis=1)
        np.put_along_axis(posteriors, classes, top / total[:, None], axis=1)
        ours = store[row["utterance_id"]].posteriors(temperature)
        np.testing.assert_allclose(ours, posteriors, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("read", [by_zarr, by_tensorstore])
def test_float16_features_and_labels(tmp_path: Path, corpus: Corpus, read: Any) -> None:
    store = make_store(tmp_path / "store", corpus, Float16())
    for row in manifest_rows(store.url):
        span = row["first_frame"], row["num_frames"]
        utterance = store[row["utterance_id"]]
        softened = read(store.url, "targets/log_posteriors", *span).astype(float) / 2.0
        posteriors = np.exp(softened) / np.exp(softened).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(utterance.posteriors(2.0), posteriors, rtol=1e-4, atol=1e-7)
        np.testing.assert_array_equal(utterance.features(), read(store.url, "features", *span))
        np.testing.assert_array_equal(utterance.labels(), read(store.url, "labels", *span))


def test_zarr_lists_the_arrays_and_their_dimensions(store: Store) -> None:
    group = zarr.open_group(store.url, mode="r")
    assert {name for name, _ in group.groups()} == {"targets", "manifest"}
    array = group["targets/classes"]
    assert isinstance(array, zarr.Array)
    assert array.metadata.dimension_names == ("frame", None)  # type: ignore[union-attr]
    assert array.shape[0] % store.attributes.shard_frames == 0
    assert math.prod(array.shards or ()) == store.attributes.shard_frames * array.shape[1]
