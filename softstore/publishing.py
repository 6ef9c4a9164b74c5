"""Whole utterances into one store: begin it or go on with it, and publish shard by shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softstore.codec_arrays import read_codec_arrays
from softstore.codecs import Codec
from softstore.encoding import EncodedUtterance
from softstore.errors import ConflictError, InvalidInputError, NotAStoreError
from softstore.format import FIRST_OVERFLOW, NUM_OVERFLOW, TARGETS, Attributes, Generation
from softstore.metadata import canonical_json
from softstore.parts import read_attributes
from softstore.sharding import crc32c
from softstore.storage import Storage
from softstore.writer import Writer, create, update_attributes

CREATED_BY = f"softstore {version('softstore')}"


def open_or_create(
    storage: Storage, wanted: Attributes, codec_arrays: Mapping[str, NDArray[np.generic]]
) -> Writer:
    """A writer of the store that lies there, or of a new one with these attributes and arrays.

    Raises:
        ConflictError: the store there was made by another teacher, codec or corpus, or recoded from another.
        NotAStoreError: a corpus lies there.
    """
    try:
        found = read_attributes(storage)
    except NotAStoreError:
        try:
            return create(storage, wanted, codec_arrays)
        except ConflictError as error:
            found = _begun_meanwhile(storage, error)
    check_belongs(found, wanted, storage.url)
    stored_arrays = read_codec_arrays(storage, found)
    if not all(np.array_equal(stored_arrays[name], array) for name, array in codec_arrays.items()):
        raise ConflictError(
            f"{storage.url} has a codec that was fitted to another sample: choose another place, or run this "
            "again to use what is stored."
        )
    if found.recoded_from != wanted.recoded_from:
        # The source has grown, and its certificate has changed.
        found = update_attributes(storage, {"recoded_from": wanted.recoded_from})
    return Writer(storage, found)


def check_belongs(found: Attributes, wanted: Attributes, url: str) -> None:
    """Check that what has these attributes may be added to the store that was found.

    Raises:
        ConflictError: the store was made by another teacher, codec or corpus, or recoded from another.
        NotAStoreError: it is a corpus.
    """
    if found.kind != "soft_targets":
        raise NotAStoreError(f"{url} is a corpus: choose another place for the soft targets.")
    stored, now = _identity(found), _identity(wanted)
    differing = [
        f"{name} (stored {_brief(stored[name])}, now {_brief(now[name])})"
        for name in stored
        if stored[name] != now[name]
    ]
    if differing:
        raise ConflictError(
            f"{url} was made with another {', another '.join(differing)}: "
            "choose another place, or use what it was made with."
        )


def _begun_meanwhile(storage: Storage, error: ConflictError) -> Attributes:
    """The attributes of the store that somebody else has just begun; else it was another conflict."""
    try:
        return read_attributes(storage)
    except NotAStoreError:
        raise error from None


def check_chunks(shard_frames: int, chunk_frames: int) -> None:
    """Raises `InvalidInputError` unless shards are whole chunks."""
    if shard_frames % chunk_frames:
        raise InvalidInputError(
            f"Shards of {shard_frames} frames cannot be cut into chunks of {chunk_frames}."
        )


def check_blocks(chunk_frames: int, block_frames: int) -> None:
    """Raises `InvalidInputError` unless chunks are whole blocks."""
    if chunk_frames % block_frames:
        raise InvalidInputError(
            f"Chunks of {chunk_frames} frames cannot be cut into blocks of {block_frames}: choose a multiple."
        )


def with_codec(attributes: Attributes, codec: Codec) -> Attributes:
    """The attributes of a new store, with this codec and its tracks.

    Raises:
        InvalidInputError: the codec does not suit the number of classes or the chunks.
    """
    check_blocks(attributes.chunk_frames, codec.block_frames)
    targets = {f"{TARGETS}/{name}": spec for name, spec in codec.tracks(attributes.class_count).items()}
    return attributes.model_copy(
        update={
            "block_frames": codec.block_frames,
            "tracks": attributes.tracks | targets,
            "codec": codec.config(),
        }
    )


def publish(writer: Writer, shard: int, utterances: Sequence[EncodedUtterance]) -> int:
    """Write and publish one shard; returns its bytes, 0 if it was published by somebody else."""
    tracks = {
        track: np.concatenate([utterance.tracks[track] for utterance in utterances])
        for track in writer.attributes.tracks
    }
    histogram = {
        temperature: np.sum(
            [utterance.kl_histogram[temperature] for utterance in utterances], axis=0
        ).tolist()
        for temperature in utterances[0].kl_histogram
    }
    rows = _with_overflow(utterances, shard, writer.attributes)
    return writer.write_shard(shard, rows, tracks, histogram)


def _with_overflow(
    utterances: Sequence[EncodedUtterance], shard: int, attributes: Attributes
) -> list[dict[str, Any]]:
    """Manifest columns of each utterance; where tracks are ragged, with the rows that are its own."""
    ragged = next((track for track, spec in attributes.tracks.items() if spec.ragged), None)
    if ragged is None:
        return [utterance.row for utterance in utterances]
    rows = []
    end = shard * attributes.tracks[ragged].shard_rows(attributes.shard_frames)
    for utterance in utterances:
        count = len(utterance.tracks[ragged])
        rows.append({**utterance.row, FIRST_OVERFLOW: end, NUM_OVERFLOW: count})
        end += count
    return rows


def _identity(attributes: Attributes) -> dict[str, Any]:
    """What must not differ between two runs into one store; JSON values."""
    identity = attributes.model_dump(
        mode="json", include={"class_count", "codec", "features", "tracks", "frame_shift"}
    )
    return identity | {
        "teacher": attributes.teacher and attributes.teacher.fingerprint,
        "source": " → ".join(["the teacher", *map(_named, attributes.recoded_from)]),
    }


def _named(source: Generation) -> str:
    """A source's codec, and a checksum of everything about it that does not change when it grows."""
    lasting = canonical_json(source.model_dump(mode="json", exclude={"certificate"}))
    return f"{source.codec.get('name')} {crc32c(lasting):08x}"


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
