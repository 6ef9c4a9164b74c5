"""Copy a store or corpus from one URL to another, checked object by object.

Shards come first, each part of the manifest behind the objects it lists, the root last: a copy that was
stopped cannot be opened, or is what it was before. Run again, it goes on where it stopped, and a copy of a
store that has grown gets what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from softstore.corpus import checked_senones
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError, NotAStoreError, NotFoundError
from softstore.format import (
    IDS,
    MANIFEST,
    ROOT_METADATA,
    SENONES,
    SENONES_CHECKSUM,
    Attributes,
    codec_object,
    id_bucket,
    manifest_part,
)
from softstore.id_index import bucket_to_bytes, read_bucket
from softstore.manifest import Manifest, ShardObject
from softstore.metadata import metadata_objects
from softstore.parts import Span, part_from_bytes, part_of_path, part_spans, read_attributes, read_part
from softstore.sharding import sha256
from softstore.storage import Storage

_THREADS = 4
"""Objects under way, and in memory, at a time."""

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes to do)."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What one run did; all of shards, codec arrays, senones, and manifest parts.

    Attributes:
        objects, bytes: copied.
        present: objects that were there already.
        utterances: of the whole copy.
    """

    objects: int
    bytes: int
    present: int
    utterances: int


Objects = dict[str, ShardObject]
"""Size and checksum by path."""


def copy(source: Storage, destination: Storage, progress: Progress = lambda done, total: None) -> Copied:
    """Make ``destination`` what ``source`` is now. Nothing else may write there meanwhile.

    Raises:
        ConflictError: something else lies there, or the source was compacted meanwhile.
        CorruptDataError: an object of the source is damaged or missing; nothing damaged is copied.
        InvalidInputError: the copy is to lie in the source.
        NotAStoreError, FormatError: the source is no store or corpus that can be read.
        StorageError: a storage refused; run it again to go on.
    """
    if f"{destination.url}/".startswith(f"{source.url}/"):
        raise InvalidInputError(
            f"{destination.url} lies in the store that is to be copied: choose another place."
        )
    attributes = read_attributes(source)
    groups, utterances = _groups(source, attributes)
    stale = _check_place(destination, attributes, groups)
    total = sum(entry.size for group in groups for entry in group.values())
    done = objects = copied = present = 0

    def transfer(item: tuple[str, ShardObject]) -> tuple[int, bool]:
        path, entry = item
        there = _is_there(destination, path, entry)
        if not there:
            destination.put(path, _checked(source, path, entry))
        return entry.size, there

    progress(0, total)
    with ThreadPoolExecutor(_THREADS) as pool:
        for group in groups:
            for size, there in pool.map(transfer, group.items()):
                done += size
                present += there
                objects += not there
                copied += 0 if there else size
                progress(done, total)
    for path, data in metadata_objects(attributes).items():
        if _get(destination, path) != data:
            destination.put(path, data)
    for path in stale:
        destination.delete(path)
    return Copied(objects, copied, present, utterances)


def _groups(source: Storage, attributes: Attributes) -> tuple[list[Objects], int]:
    """Everything but ``zarr.json``, in groups that must be there before the next begins; and utterances."""
    once = {
        codec_object(name, array): ShardObject(array.size, array.sha256)
        for name, array in attributes.codec_arrays.items()
    }
    if SENONES_CHECKSUM in attributes.corpus and attributes.kind == "corpus":
        senones = checked_senones(source, attributes)
        once[SENONES] = ShardObject(len(senones), sha256(senones))
    groups, parts = [once], []
    for path, data in _parts(source, attributes):
        table = part_from_bytes(data, path)
        parts.append(table)
        groups += [Manifest([table]).objects, {path: ShardObject(len(data), sha256(data))}]
    return [*groups, _index(source, attributes)], len(Manifest(parts))


def _index(source: Storage, attributes: Attributes) -> Objects:
    """The buckets of the index of ids, if there is one."""
    index = attributes.id_index
    if index is None:
        return {}

    def bucket(number: int) -> tuple[str, ShardObject]:
        path = id_bucket(index, number)
        try:
            data = bucket_to_bytes(read_bucket(source, index, number))
        except NotFoundError as error:
            raise CorruptDataError(
                f"{path} is missing in {source.url}: run `softstore verify` there."
            ) from error
        return path, ShardObject(len(data), sha256(data))

    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(pool.map(bucket, range(index.buckets)))


def _parts(source: Storage, attributes: Attributes) -> Iterator[tuple[str, bytes]]:
    complete = attributes.complete.shards if attributes.complete else 0
    spans = list(part_spans(attributes.compacted, attributes.shards))
    with ThreadPoolExecutor(_THREADS) as pool:
        for span, data in zip(
            spans, pool.map(lambda span: _get(source, manifest_part(*span)), spans), strict=True
        ):
            if data is not None:
                yield manifest_part(*span), data
            elif span in attributes.compacted or span[1] < complete:
                if read_attributes(source).compacted != attributes.compacted:
                    raise ConflictError(f"{source.url} was compacted while it was copied: copy it again.")
                raise CorruptDataError(
                    f"{manifest_part(*span)} is missing in {source.url}: run `softstore verify` there."
                )


def _check_place(destination: Storage, attributes: Attributes, groups: Iterable[Objects]) -> list[str]:
    """Check that what lies there may be added to; what there of the manifest will not be needed any more.

    Raises:
        ConflictError: there is something else.
    """
    wanted: Objects = {path: entry for group in groups for path, entry in group.items()}
    try:
        found = read_attributes(destination)
    except NotAStoreError:
        mine = wanted.keys() | metadata_objects(attributes).keys() - {ROOT_METADATA}
        if all(path in mine for path, _ in destination.walk()):
            return []
        raise ConflictError(
            f"{destination.url} is not empty: choose another place, or remove what lies there."
        ) from None
    if _identity(found) != _identity(attributes):
        raise ConflictError(f"{destination.url} holds another store or corpus: choose another place.")
    spans = list(part_spans(found.compacted, found.shards))
    for path, entry in _objects_of(destination, spans).items():
        if wanted.get(path) != entry:
            raise ConflictError(
                f"{destination.url} holds other shards than what is to be copied: choose another place."
            )
    return [
        path
        for path, _ in destination.walk(MANIFEST)
        if path not in wanted and (part_of_path(path) or path.startswith(f"{IDS}/"))
    ]


def _objects_of(destination: Storage, spans: Iterable[Span]) -> Objects:
    """Of all shards whose manifest part is whole; damaged parts are copied again."""
    objects: Objects = {}
    for span in spans:
        try:
            table = read_part(destination, span)
        except CorruptDataError:
            continue
        if table is not None:
            objects |= Manifest([table]).objects
    return objects


def _identity(attributes: Attributes) -> Mapping[str, object]:
    """What does not change while a store grows."""
    changing = dict.fromkeys(("shards", "compacted", "complete", "runs", "skipped", "id_index"), True)
    return attributes.model_dump(
        mode="json", exclude={**changing, "recoded_from": {"__all__": {"certificate"}}}
    )


def _is_there(destination: Storage, path: str, entry: ShardObject) -> bool:
    try:
        if destination.size(path) != entry.size:
            return False
        return sha256(destination.get(path)) == entry.sha256
    except NotFoundError:
        return False


def _checked(source: Storage, path: str, entry: ShardObject) -> bytes:
    data = _get(source, path)
    if data is None:
        raise CorruptDataError(f"{path} is missing in {source.url}: run `softstore verify` there.")
    if len(data) != entry.size or sha256(data) != entry.sha256:
        raise CorruptDataError(
            f"{path} in {source.url} is damaged, and was not copied: run `softstore verify` there."
        )
    return data


def _get(storage: Storage, path: str) -> bytes | None:
    try:
        return storage.get(path)
    except NotFoundError:
        return None
