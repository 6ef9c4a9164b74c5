"""Publish a shard so that any number of jobs may try to, at any time, and be killed at any moment.

What is to be published is first staged, whole and durable, under names that nobody else uses. Then one of
those who staged the same shard is chosen: the first to create the shard's decision, an object that names its
attempt. From there on there is only one way, and anybody can go it: each staged object is moved to its place,
and the manifest part, which makes the shard visible, is created last. A job that dies undecided leaves
staged objects that nobody refers to; one that dies later is finished by the next (`roll_forward_all`).

    staging/<shard>                     the decision: the chosen attempt
    staging/<shard>-<attempt>-<number>  its objects, numbered as its manifest part lists them
    staging/<shard>-<attempt>-part      its manifest part

A decision is deleted only when its part is there, and whoever creates or finds one looks for the part again
before going on: so no shard is decided twice, and no object of a published shard is ever replaced.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress

from softstore.errors import CorruptDataError, NotFoundError, StorageError
from softstore.format import STAGING, manifest_part
from softstore.manifest import Manifest, ShardObject
from softstore.parts import part_from_bytes
from softstore.storage import Storage

_STAGED = re.compile(rf"{STAGING}/([0-9]{{6,}})(?:-([0-9a-f]{{16}})-(part|[0-9]+))?")


def publish_shard(
    storage: Storage,
    shard: int,
    objects: Mapping[str, bytes],
    part: bytes,
    is_published: Callable[[], bool],
) -> bool:
    """Publish these objects as a shard; False if another attempt was chosen, and this one is discarded.

    Args:
        objects: by path, in the order in which the part lists them.
        part: the shard's manifest part.
        is_published: whether its part, or a merged one that holds it, is there.
    """
    attempt = secrets.token_hex(8)
    staged = [_staged(shard, attempt, number) for number in range(len(objects))]
    whole = _staged(shard, attempt, "part")
    decided = False
    try:
        for path, data in zip(staged, objects.values(), strict=True):
            storage.put(path, data)
        storage.put(whole, part)
        decided = True  # from here on an error does not tell whether it was
        chosen = _decide(storage, shard, attempt, is_published)
    except StorageError:
        if not decided:
            # A disk that is full has room again, and what cannot be deleted is swept later.
            _discard(storage, [*staged, whole])
        raise
    if chosen is not None:
        _roll_forward(storage, shard, chosen)
    if chosen != attempt:
        _discard(storage, [*staged, whole])
    return chosen == attempt


def roll_forward_all(storage: Storage, is_published: Callable[[int], bool]) -> None:
    """Finish what was decided and not published, and delete what is staged of shards that are published.

    What is staged of other shards may be of a job that is at work: it is left alone.
    """
    found = [match for path, _ in storage.walk(STAGING) if (match := _STAGED.fullmatch(path))]
    for match in found:
        shard = int(match[1])
        if not match[2]:
            with suppress(NotFoundError):
                chosen = storage.get(match[0]).decode()
                # In this order: a decision that is there before the part is counts, a later one does not.
                if not is_published(shard):
                    _roll_forward(storage, shard, chosen)
    # Staged objects go before the decision, which alone would say that there are none to wait for.
    for match in sorted(found, key=lambda match: match[2] is None):
        if is_published(int(match[1])):
            storage.delete(match[0])


def is_staged(path: str) -> bool:
    """Whether an object has a name that `publish_shard` gives."""
    return _STAGED.fullmatch(path) is not None


def _decide(storage: Storage, shard: int, attempt: str, is_published: Callable[[], bool]) -> str | None:
    """The chosen attempt; None if the shard is published."""
    decision, chosen = _decision(shard), attempt
    if not storage.create(decision, attempt.encode()):
        try:
            chosen = storage.get(decision).decode()
        except NotFoundError:
            return None
    if is_published():
        # Decided, published and tidied up before this decision, whoever's it is, was made.
        storage.delete(decision)
        return None
    return chosen


def _roll_forward(storage: Storage, shard: int, attempt: str) -> None:
    """Move what the chosen attempt staged to its place, and publish it. Several may do so at once."""
    whole = _staged(shard, attempt, "part")
    try:
        part = storage.get(whole)
    except NotFoundError:
        return  # somebody else has finished
    for number, (path, entry) in enumerate(_listed(part, whole).items()):
        try:
            storage.move(_staged(shard, attempt, number), path)
        except NotFoundError:
            _check_moved(storage, path, entry)
    storage.create(manifest_part(shard, shard), part)
    storage.delete(whole)
    storage.delete(_decision(shard))


def _check_moved(storage: Storage, path: str, entry: ShardObject) -> None:
    """What is not staged any more must have been moved by somebody else."""
    try:
        size = storage.size(path)
    except NotFoundError:
        size = -1
    if size != entry.size:
        raise CorruptDataError(
            f"{path} of {storage.url} was staged, and is lost: delete {STAGING}/ there and run this again."
        )


def _listed(part: bytes, name: str) -> Mapping[str, ShardObject]:
    return Manifest([part_from_bytes(part, name)]).objects


def _discard(storage: Storage, paths: list[str]) -> None:
    with suppress(StorageError):
        for path in paths:
            storage.delete(path)


def _decision(shard: int) -> str:
    return f"{STAGING}/{shard:06d}"


def _staged(shard: int, attempt: str, what: int | str) -> str:
    return f"{STAGING}/{shard:06d}-{attempt}-{what}"
