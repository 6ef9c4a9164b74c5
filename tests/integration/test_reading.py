"""Reading what is whole, and refusing what is damaged."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from softstore import Corpus, Store
from softstore import open as open_store
from softstore.errors import (
    ConflictError,
    CorruptDataError,
    InvalidInputError,
    NotAStoreError,
    NotFoundError,
    SoftstoreError,
)
from softstore.storage import open_storage
from softstore.writer import require_vacant
from tests.samples import CLASSES, LENGTHS, make_store


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (63, 65), (100, 300), (299, 300), (0, None)])
def test_a_span_is_that_part_of_the_whole(store: Store, start: int, stop: int | None) -> None:
    utterance = store["b"]
    np.testing.assert_array_equal(
        utterance.posteriors(2.0, start, stop), utterance.posteriors(2.0)[start:stop]
    )
    np.testing.assert_array_equal(utterance.features(start, stop), utterance.features()[start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-1, 10), (10, 5), (0, 301), (301, None)])
def test_a_span_outside_the_utterance_is_refused(store: Store, start: int, stop: int | None) -> None:
    with pytest.raises(InvalidInputError, match="b has frames 0 to 300"):
        store["b"].posteriors(1.0, start, stop)


def test_top_k_are_the_heaviest_classes(store: Store) -> None:
    top = store["a"].top_k(5, temperature=2.0)
    posteriors = store["a"].posteriors(2.0)
    np.testing.assert_allclose(top.posteriors, -np.sort(-posteriors)[:, :5], rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(posteriors, top.classes, 1), top.posteriors, rtol=1e-5)
    with pytest.raises(InvalidInputError, match=f"the {CLASSES} classes"):
        store["a"].top_k(CLASSES + 1)


def test_scanning_filters_by_any_manifest_column(store: Store) -> None:
    assert [utterance.utterance_id for utterance in store.scan(split="cv")] == ["d", "h"]
    assert [utterance.utterance_id for utterance in store.scan(snr_db=2.0)] == ["c"]
    with pytest.raises(InvalidInputError, match="no manifest column 'colour'"):
        next(store.scan(colour="red"))
    with pytest.raises(InvalidInputError, match="'snr_db' holds double, which 'loud' is not"):
        next(store.scan(snr_db="loud"))


def test_an_utterance_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no utterance 'zebra'"):
        store["zebra"]


def test_places_that_are_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no directory"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(NotAStoreError, match=r"no zarr\.json"):
        open_store(tmp_path)
    for text in ("{", "[]", "{}", '{"zarr_format": 3, "attributes": null}'):
        (tmp_path / "zarr.json").write_text(text)
        with pytest.raises(NotAStoreError, match=r"zarr\.json"):
            open_store(tmp_path)
        with pytest.raises(ConflictError, match="not empty"):
            require_vacant(open_storage(tmp_path))
    with pytest.raises(InvalidInputError, match="is a file"):
        open_store(tmp_path / "zarr.json")
    for url in ("ftp://host/store", "http://[", "http://", "s3://", "file://host/store"):
        with pytest.raises(InvalidInputError, match="no URL softstore can open"):
            open_store(url)


def test_a_file_url_is_decoded(tmp_path: Path, corpus: Corpus) -> None:
    store = make_store(tmp_path / "my store", corpus)
    assert len(open_store(f"file://{quote(str(tmp_path / 'my store'))}")) == len(store)


def damaged_and_whole(store: Store) -> tuple[list[SoftstoreError], list[str]]:
    """Read everything; the errors met, and the utterances that still read."""
    errors: list[SoftstoreError] = []
    whole = []
    for utterance_id in LENGTHS:
        try:
            store[utterance_id].posteriors()
            store[utterance_id].features()
            store[utterance_id].labels()
            whole.append(utterance_id)
        except SoftstoreError as error:
            errors.append(error)
    return errors, whole


@pytest.mark.parametrize(
    "track", ["targets/classes", "targets/log_posteriors", "targets/tail", "features", "labels"]
)
def test_a_deleted_object_is_an_error_that_names_it_and_other_shards_still_read(
    own_store: Store, track: str
) -> None:
    name = f"{track}/c/1" if track == "labels" else f"{track}/c/1/0"
    (Path(own_store.url) / name).unlink()
    errors, whole = damaged_and_whole(open_store(own_store.url))
    assert errors
    assert all(isinstance(error, CorruptDataError) and name in str(error) for error in errors)
    gone = {row["utterance_id"] for row in own_store.manifest.where(shard=1).to_pylist()}
    assert set(whole) == set(LENGTHS) - gone


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.999])
def test_a_flipped_byte_is_an_error_that_names_the_object_and_others_still_read(
    own_store: Store, share: float
) -> None:
    path = Path(own_store.url) / "targets/log_posteriors/c/0/0"
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 0x10
    path.write_bytes(data)
    errors, whole = damaged_and_whole(open_store(own_store.url))
    assert errors
    assert all(isinstance(error, CorruptDataError) for error in errors)
    assert all("targets/log_posteriors/c/0/0" in str(error) for error in errors)
    assert len(whole) >= len(own_store.manifest.where(shard=1))


def test_a_truncated_object_is_an_error(own_store: Store) -> None:
    path = Path(own_store.url) / "targets/tail/c/0/0"
    for size in (path.stat().st_size - 10, 20, 0):
        path.write_bytes(path.read_bytes()[:size])
        errors, _ = damaged_and_whole(open_store(own_store.url))
        assert errors
        assert all(isinstance(error, CorruptDataError) for error in errors)
        assert all("targets/tail/c/0/0" in str(error) for error in errors)


def test_a_manifest_part_that_a_finished_run_had_published_cannot_vanish_unnoticed(own_store: Store) -> None:
    (Path(own_store.url) / "manifest/000001.parquet").unlink()
    with pytest.raises(CorruptDataError, match=r"manifest/000001\.parquet is missing"):
        len(open_store(own_store.url))


def test_a_damaged_manifest_part_is_named(own_store: Store) -> None:
    path = Path(own_store.url) / "manifest/000000.parquet"
    data = bytearray(path.read_bytes())
    data[20] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CorruptDataError, match=r"manifest/000000\.parquet is damaged"):
        len(open_store(own_store.url))
