"""The contenders of `benchmarks.reading`: each reads the same frames its own way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import lilcom
import numpy as np
import tensorstore
import zarr
from numpy.typing import NDArray
from obstore.store import S3Store
from zarr.abc.store import Store as ZarrStore
from zarr.storage import LocalStore, ObjectStore

from benchmarks.s3_server import BUCKET
from softstore import Store
from softstore.format import TARGETS

SLAB_FRAMES = 4096
"""What contenders that have no scan of their own read at a time when they read everything."""


class Span(NamedTuple):
    """Frames ``start`` … ``stop`` of an utterance that begins at ``first_frame`` of the whole store."""

    utterance_id: str
    first_frame: int
    start: int
    stop: int


@dataclass(frozen=True)
class Reader:
    """One contender.

    Attributes:
        span: reads the encoded arrays of one span.
        scan: reads the encoded arrays of everything, in order.
        decoded_scan: the same, as float32 log-posteriors; None where that is another contender's codec.
        arrays: how many arrays a span is read from.
    """

    span: Callable[[Span], object]
    scan: Callable[[], object]
    decoded_scan: Callable[[], object] | None
    arrays: int


def softstore_reader(store: Store) -> Reader:
    """Utterances are looked up beforehand, as the other contenders are told the frames' places."""
    utterances = {utterance_id: store[utterance_id] for utterance_id in _ids(store)}

    def scan() -> None:
        for utterance in store.scan():
            utterance.encoded()

    def decoded_scan() -> None:
        for utterance in store.scan():
            utterance.log_posteriors()

    return Reader(
        lambda span: utterances[span.utterance_id].encoded(span.start, span.stop),
        scan,
        decoded_scan,
        len(store.codec.tracks(store.class_count)),
    )


def zarr_reader(store: Store, pipeline: str = "zarr.core.codec_pipeline.BatchedCodecPipeline") -> Reader:
    """zarr-python, with its own codecs or with those of the Rust crate zarrs."""
    with zarr.config.set({"codec_pipeline.path": pipeline}):
        group = zarr.open_group(_zarr_store(store.url), mode="r")
        arrays: list[Any] = [group[track] for track in _tracks(store)]
    return _rows_reader(lambda rows: [array[rows] for array in arrays], _frames(store), len(arrays))


def zarrs_reader(store: Store) -> Reader:
    return zarr_reader(store, "zarrs.ZarrsCodecPipeline")


def tensorstore_reader(store: Store) -> Reader:
    """Without a cache, as it comes; the arrays of a span are asked for together."""
    context = tensorstore.Context()
    specs = [{"driver": "zarr3", "kvstore": _kvstore(store.url, track)} for track in _tracks(store)]
    arrays = [tensorstore.open(spec, context=context, read=True).result() for spec in specs]

    def read(rows: slice) -> list[Any]:
        return [future.result() for future in [array[rows].read() for array in arrays]]

    return _rows_reader(read, _frames(store), len(arrays))


def memmap_reader(store: Store, directory: Path) -> Reader:
    """The dense float16 matrix as a raw file."""
    path = directory / "rows.npy"
    rows = _dense(store)
    np.save(path, rows)
    matrix = np.load(path, mmap_mode="r")
    return _dense_reader(lambda span: np.array(matrix[span]), len(matrix))


def hdf5_reader(store: Store, directory: Path) -> Reader:
    """The same as an HDF5 dataset in gzip'd chunks of as many frames as ours."""
    rows = _dense(store)
    file = h5py.File(directory / "rows.h5", "w")
    chunks = (store.attributes.chunk_frames, rows.shape[1])
    dataset = file.create_dataset("rows", data=rows, chunks=chunks, compression="gzip")
    return _dense_reader(lambda span: dataset[span], len(rows))


def lilcom_reader(store: Store, directory: Path) -> Reader:
    """One lilcom file an utterance, as Lhotse has them: a span is cut from a whole utterance."""
    files = {utterance_id: directory / f"{n}.lilcom" for n, utterance_id in enumerate(_ids(store))}
    for utterance in store.scan():
        files[utterance.utterance_id].write_bytes(lilcom.compress(utterance.log_posteriors()))

    def read(utterance_id: str) -> NDArray[np.float32]:
        decoded: NDArray[np.float32] = lilcom.decompress(files[utterance_id].read_bytes())
        return decoded

    def scan() -> None:
        for utterance_id in files:
            read(utterance_id)

    return Reader(lambda span: read(span.utterance_id)[span.start : span.stop], scan, scan, 1)


def _rows_reader(
    read: Callable[[slice], object], frames: int, arrays: int, decode: Callable[[slice], object] | None = None
) -> Reader:
    def everything(read: Callable[[slice], object]) -> Callable[[], None]:
        def scan() -> None:
            for first in range(0, frames, SLAB_FRAMES):
                read(slice(first, min(first + SLAB_FRAMES, frames)))

        return scan

    return Reader(
        lambda span: read(slice(span.first_frame + span.start, span.first_frame + span.stop)),
        everything(read),
        everything(decode) if decode else None,
        arrays,
    )


def _dense_reader(read: Callable[[slice], NDArray[np.float16]], frames: int) -> Reader:
    return _rows_reader(read, frames, 1, lambda rows: read(rows).astype(np.float32))


def _dense(store: Store) -> NDArray[np.float16]:
    """Every frame's log-posteriors, at its place on the store's frame axis."""
    rows = np.zeros((_frames(store), store.class_count), np.float16)
    for utterance in store.scan():
        first = utterance.row["first_frame"]
        rows[first : first + utterance.num_frames] = utterance.log_posteriors()
    return rows


def _frames(store: Store) -> int:
    """Where the last utterance ends on the frame axis."""
    last = store.manifest.table.slice(len(store) - 1).to_pylist()[0]
    return int(last["first_frame"] + last["num_frames"])


def _ids(store: Store) -> list[str]:
    ids: list[str] = store.manifest.table["utterance_id"].to_pylist()
    return ids


def _tracks(store: Store) -> Sequence[str]:
    return [f"{TARGETS}/{name}" for name in store.codec.tracks(store.class_count)]


def _zarr_store(url: str) -> ZarrStore:
    if url.startswith("s3://"):
        return ObjectStore(S3Store.from_url(url), read_only=True)
    return LocalStore(url, read_only=True)


def _kvstore(url: str, track: str) -> dict[str, Any]:
    if not url.startswith("s3://"):
        return {"driver": "file", "path": f"{url}/{track}/"}
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    return {
        "driver": "s3",
        "bucket": BUCKET,
        "endpoint": os.environ["AWS_ENDPOINT_URL"],
        "aws_region": os.environ["AWS_REGION"],
        "aws_credentials": {"type": "environment"},
        "path": f"{prefix}/{track}/",
    }
