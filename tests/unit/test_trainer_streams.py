"""Utterances packed into streams: nothing lost, nothing twice, everything in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
import torch

from trainer.examples import Example
from trainer.streams import Batch, pack

STREAMS, CHUNK, DELAY = 3, 20, 5


def make_examples(lengths: Sequence[int]) -> list[Example]:
    """Utterance u's frame t has features (u, t), label 1000 u + t, and encoded rows that say the same."""
    examples = []
    for number, frames in enumerate(lengths):
        t = torch.arange(frames)
        labels = 1000 * number + t
        features = torch.stack([torch.full_like(t, number), t], dim=1).float()
        encoded = {"rows": torch.stack([labels, -labels], dim=1).to(torch.int16)}
        examples.append(Example(f"u{number}", features, labels, encoded))
    return examples


def packed(lengths: Sequence[int], delay: int = DELAY) -> list[Batch]:
    return list(pack(make_examples(lengths), STREAMS, CHUNK, delay))


LENGTHS = [1, 14, 15, 16, 20, 35, 36, 61, 5, 100, 2]


@pytest.mark.parametrize("delay", [0, 5, 25])
def test_every_frame_is_a_target_once(delay: int) -> None:
    seen = Counter(label for batch in packed(LENGTHS, delay) for label in batch.labels[batch.mask].tolist())
    assert seen == Counter(1000 * u + t for u, frames in enumerate(LENGTHS) for t in range(frames))


@pytest.mark.parametrize("delay", [0, 5, 25])
def test_targets_come_delayed_and_the_last_frame_is_repeated(delay: int) -> None:
    for batch in packed(LENGTHS, delay):
        for step, stream in batch.mask.nonzero().tolist():
            utterance, frame = divmod(int(batch.labels[step, stream]), 1000)
            heard = min(frame + delay, LENGTHS[utterance] - 1)
            assert batch.features[step, stream].tolist() == [utterance, heard]


def test_encoded_rows_lie_where_their_labels_lie() -> None:
    for batch in packed(LENGTHS):
        labels, mask = batch.labels.flatten(), batch.mask.flatten()
        rows = batch.encoded["rows"]
        assert rows.dtype == torch.int16
        torch.testing.assert_close(rows[mask].long(), torch.stack([labels[mask], -labels[mask]], dim=1))


def test_a_stream_is_reset_where_an_utterance_begins_and_only_there() -> None:
    reading: dict[int, tuple[int, int]] = {}
    resets = 0
    for batch in packed(LENGTHS):
        for stream in range(STREAMS):
            heard = batch.mask[:, stream] | (batch.features[:, stream] != 0).any(dim=1)
            if not heard.any():
                continue
            utterance, first = (int(value) for value in batch.features[0, stream])
            if batch.reset[stream]:
                resets += 1
                assert first == 0
            else:
                before, reached = reading[stream]
                assert utterance == before
                assert first == min(reached + CHUNK, LENGTHS[utterance] - 1)
            reading[stream] = utterance, first if batch.reset[stream] else reading[stream][1] + CHUNK
    assert resets == len(LENGTHS)


def test_padding_is_silent_and_unasked() -> None:
    *_, last = packed([1, 1])
    assert last.features.shape == (CHUNK, STREAMS, 2)
    assert last.mask[:, 2].sum() == 0
    assert last.mask[:, 0].nonzero().flatten().tolist() == [DELAY]
    assert last.features[DELAY + 1 :].abs().sum() == 0
    assert last.utterance_ids == ["u0", "u1"]


def test_no_examples_no_batches() -> None:
    assert packed([]) == []
