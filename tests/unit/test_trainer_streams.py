"""Utterances packed into streams: nothing lost, nothing twice, everything in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from softstore.codecs.unpacked import OVERFLOW_ROWS
from trainer.examples import Example
from trainer.streams import Batch, Part, pack

STREAMS, CHUNK = 3, 20
BLOCK = 4
NOTHING = Example(
    "", torch.empty(0, 2), torch.empty(0, dtype=torch.int64), {"rows": np.empty((0, 2), np.int16)}
)


def make_example(number: int, frames: int) -> Example:
    """Utterance u's frame t has features (u, t), label 1000 u + t, and encoded rows that say the same.

    Every third frame of utterances with odd numbers is escalated.
    """
    t = np.arange(frames)
    labels = 1000 * number + t
    features = np.stack([np.full_like(t, number), t], axis=1).astype(np.float32)
    padded = np.full((-(-frames // BLOCK) * BLOCK, 2), -1, np.int16)
    padded[:frames] = np.stack([labels, -labels], axis=1)
    encoded: dict[str, NDArray[np.generic]] = {"rows": padded}
    if number % 2:
        rows = np.zeros(len(padded), np.uint16)
        rows[:frames:3] = 1
        encoded[OVERFLOW_ROWS] = rows
        encoded["overflow_classes"] = labels[::3, None]
        encoded["overflow_values"] = labels[::3, None].astype(np.float32)
    return Example(f"u{number}", torch.from_numpy(features), torch.from_numpy(labels), encoded)


def packed(placed: Sequence[tuple[int, int, int, int]], delay: int, batches: int = 6) -> list[Batch]:
    """Of (utterance, frames, stream, begin)."""
    parts = [Part(make_example(number, frames), stream, begin) for number, frames, stream, begin in placed]
    return pack(parts, NOTHING, batches, CHUNK, STREAMS, delay, BLOCK)


PLACED = [
    (1, 14, 0, 0),
    (2, 1, 0, 1),
    (3, 61, 0, 2),
    (4, 15, 1, 0),
    (5, 16, 1, 1),
    (6, 36, 1, 3),
    (7, 93, 2, 0),
]


@pytest.mark.parametrize("delay", [0, 5])
def test_every_frame_is_a_target_once(delay: int) -> None:
    seen = Counter(label for batch in packed(PLACED, delay) for label in batch.labels[batch.mask].tolist())
    assert seen == Counter(1000 * u + t for u, frames, _, _ in PLACED for t in range(frames))


@pytest.mark.parametrize("delay", [0, 5])
def test_targets_come_delayed_and_the_last_frame_is_repeated(delay: int) -> None:
    lengths = {number: frames for number, frames, _, _ in PLACED}
    for batch in packed(PLACED, delay):
        for step, stream in batch.mask.nonzero().tolist():
            utterance, frame = divmod(int(batch.labels[step, stream]), 1000)
            heard = min(frame + delay, lengths[utterance] - 1)
            assert batch.features[step, stream].tolist() == [utterance, heard]


@pytest.mark.parametrize("delay", [0, 5])
def test_rows_say_which_of_the_encoded_frames_is_the_target(delay: int) -> None:
    for batch in packed(PLACED, delay):
        labels, rows = batch.labels[batch.mask], batch.rows[batch.mask]
        encoded = batch.encoded["rows"]
        assert encoded.dtype == torch.int16
        torch.testing.assert_close(encoded[rows].long(), torch.stack([labels, -labels], dim=1))
        assert len(set(rows.tolist())) == len(rows)
        # Whole blocks, and none that holds no target.
        assert len(encoded) % BLOCK == 0
        assert set((rows // BLOCK).tolist()) == set(range(len(encoded) // BLOCK))


def test_exact_values_come_with_the_blocks_of_their_frames() -> None:
    found = 0
    for batch in packed(PLACED, 5):
        said = batch.encoded["rows"][:, 0].long()
        escalated = (said >= 0) & (said // 1000 % 2 == 1) & (said % 1000 % 3 == 0)
        if not escalated.any():
            assert batch.encoded.keys() == {"rows"}
            continue
        assert torch.equal(batch.encoded[OVERFLOW_ROWS].long(), escalated.long())
        assert torch.equal(batch.encoded["overflow_classes"][:, 0], said[escalated])
        found += 1
    assert found


@pytest.mark.parametrize("later", [1, 2, 3])
def test_batches_are_the_same_wherever_packing_begins(later: int) -> None:
    moved = [(number, frames, stream, begin - later) for number, frames, stream, begin in PLACED]
    moved = [part for part in moved if part[3] * CHUNK + part[1] + 5 > 0]
    for whole, part in zip(packed(PLACED, 5)[later:], packed(moved, 5, 6 - later), strict=True):
        torch.testing.assert_close(whole.features, part.features)
        torch.testing.assert_close(whole.labels, part.labels)
        assert torch.equal(whole.mask, part.mask)
        assert torch.equal(whole.rows, part.rows)
        assert torch.equal(whole.reset, part.reset)
        assert whole.utterance_ids == part.utterance_ids
        assert whole.encoded.keys() == part.encoded.keys()
        for name, rows in whole.encoded.items():
            torch.testing.assert_close(rows, part.encoded[name])


def test_a_stream_is_reset_where_an_utterance_begins_or_there_is_none() -> None:
    reset = torch.stack([batch.reset for batch in packed(PLACED, 5)])
    expected = [[1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1]]
    assert reset.T.int().tolist() == expected


def test_padding_is_silent_and_unasked() -> None:
    (batch,) = packed([(0, 1, 0, 0), (1, 1, 1, 0)], 5, batches=1)
    assert batch.features.shape == (CHUNK, STREAMS, 2)
    assert batch.mask[:, 2].sum() == 0
    assert batch.mask[:, 0].nonzero().flatten().tolist() == [5]
    assert batch.features[6:].abs().sum() == 0
    assert batch.utterance_ids == ["u0", "u1"]


def test_batches_without_an_utterance_are_silence() -> None:
    for batch in packed([], 5, batches=2):
        assert not batch.mask.any()
        assert batch.reset.all()
        assert batch.encoded["rows"].shape == (0, 2)
        assert batch.utterance_ids == []


def test_batches_go_to_a_device_whole() -> None:
    (batch,) = packed(PLACED[:1], 5, batches=1)
    moved = batch.to("meta", non_blocking=True)
    tensors = [moved.features, moved.labels, moved.mask, moved.rows, moved.reset, *moved.encoded.values()]
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert moved.utterance_ids == batch.utterance_ids
