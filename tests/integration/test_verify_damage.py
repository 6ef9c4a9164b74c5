"""No bit of a store can change, and no object go, without being noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import numpy as np
import pytest

from softstore.codecs import Codec, FittedToSample, Parameters, TopK
from softstore.errors import SoftstoreError
from softstore.format import SENONES, SENONES_CHECKSUM
from softstore.sharding import crc32c
from softstore.storage import Storage
from softstore.verify import verify
from softstore.writer import update_attributes
from tests.samples import make_corpus, make_store

LENGTHS = {"a": 70, "b": 60}

CODECS: dict[str, Codec | FittedToSample] = {
    "topk": TopK(k=8),
    "transform": Parameters(step=4.0, refined=2, max_kl=0.01),
}


@pytest.fixture(scope="module", params=[*CODECS, "corpus"])
def small(request: pytest.FixtureRequest) -> Storage:
    """A store, or a corpus with senones, in memory; whoever changes it puts it right again."""
    corpus = make_corpus(f"memory://{uuid4().hex}", LENGTHS)
    if request.param in CODECS:
        return make_store(f"memory://{uuid4().hex}", corpus, CODECS[request.param]).frames.storage
    storage = corpus.frames.storage
    senones = b'{"tree":{},"lexicon":{"a":["AH"]}}'
    storage.put(SENONES, senones)
    update_attributes(storage, {"corpus": {SENONES_CHECKSUM: crc32c(senones)}})
    return storage


def detected(storage: Storage) -> bool:
    try:
        return not verify(storage, sample=0).sound
    except SoftstoreError:
        return True


def flips(storage: Storage, count: int) -> Iterator[tuple[str, int]]:
    """Random places, in objects as often as they are large: a path and a bit of its object."""
    objects = list(storage.walk())
    ends = np.cumsum([8 * size for _, size in objects])
    for bit in np.random.default_rng(0).integers(0, ends[-1], count).tolist():
        number = int(np.searchsorted(ends, bit, side="right"))
        yield objects[number][0], int(ends[number]) - 1 - bit


def test_of_a_thousand_flipped_bits_every_one_is_detected(small: Storage) -> None:
    assert verify(small).sound
    missed = []
    for path, bit in flips(small, 1000):
        whole = small.get(path)
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        small.put(path, bytes(flipped))
        if not detected(small):
            missed.append((path, bit))
        small.put(path, whole)
    assert missed == []
    assert verify(small).sound


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(None, id="gone"),
        pytest.param(lambda data: data[:-1], id="one byte shorter"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data + b"\0", id="one byte longer"),
    ],
)
def test_every_object_that_is_gone_or_of_another_size_is_detected(
    small: Storage, damage: Callable[[bytes], bytes] | None
) -> None:
    missed = []
    for path, _ in list(small.walk()):
        whole = small.get(path)
        if damage is None:
            small.delete(path)
        else:
            small.put(path, damage(whole))
        if not detected(small):
            missed.append(path)
        small.put(path, whole)
    assert missed == []
    assert verify(small).sound
