"""Batches of a store: every frame once, the same for the same seed, going on anywhere, shared by ranks."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from softstore import Corpus, Store
from softstore.codecs import Parameters, TopK
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError
from tests.loading_data import DELAY, LENGTHS, STREAMS, Counted, going_on, same, streams, whole
from tests.processes import wait_for
from tests.samples import damaged, make_corpus, make_store
from trainer.examples import Examples, open_examples
from trainer.loading import Batch, EpochBatches, StreamBatches
from trainer.loading.assembler import Assembler
from trainer.loading.frame_blocks import FrameBlocks

KINDS = pytest.mark.parametrize("make", [streams, whole])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("loading") / "corpus", LENGTHS)


@pytest.fixture(scope="module")
def store(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("loading") / "store", corpus, TopK(k=8))


@pytest.fixture(scope="module")
def examples(store: Store) -> Examples:
    return open_examples(store.url)


def heard(batches: list[Batch]) -> dict[tuple[str, int], list[Batch]]:
    """By (utterance, stream), the batches that hold a part of it; ids stand in the order of streams."""
    found: dict[tuple[str, int], list[Batch]] = {}
    for batch in batches:
        waiting = list(batch.utterance_ids)
        for stream in range(batch.mask.shape[1]):
            if batch.mask[:, stream].any():
                found.setdefault((waiting.pop(0), stream), []).append(batch)
        assert not waiting
    return found


@KINDS
@pytest.mark.parametrize("codec", [TopK(k=8), Parameters(step=16.0, refined=1, max_kl=0.01)])
def test_what_a_stream_is_asked_for_is_what_the_store_holds(
    corpus: Corpus, tmp_path: Path, make: Any, codec: Any
) -> None:
    store = make_store(tmp_path, corpus, codec)
    examples = open_examples(store.url)
    parts = heard(list(make(examples)))
    assert sorted(name for name, _ in parts) == sorted(
        u.utterance_id for u in store.utterances(split="train")
    )
    for (utterance_id, stream), batches in parts.items():
        utterance = store[utterance_id]
        features = torch.cat([batch.features[:, stream] for batch in batches])[: utterance.num_frames]
        labels = torch.cat([batch.labels[batch.mask[:, stream], stream] for batch in batches])
        torch.testing.assert_close(features, torch.from_numpy(utterance.features()), rtol=0, atol=0)
        assert labels.tolist() == utterance.labels().tolist()
        taught = []
        for batch in batches:
            soften = examples.softener(batch.encoded, batch.rows[batch.mask[:, stream], stream])
            assert soften is not None
            taught.append(soften(2.0))
        torch.testing.assert_close(torch.cat(taught), torch.from_numpy(utterance.log_posteriors(2.0)))
        assert [bool(batch.reset[stream]) for batch in batches] == [True] + [False] * (len(batches) - 1)


@KINDS
def test_the_same_seed_and_epoch_give_the_same_batches(examples: Examples, make: Any) -> None:
    first = list(make(examples))
    assert len(first) == len(make(examples))
    assert same(first, make(examples))
    assert not same(first[:1], list(make(examples, seed=4))[:1])


@KINDS
def test_epoch_follows_epoch(examples: Examples, make: Any) -> None:
    batches = make(examples)
    first, second = list(batches), list(batches)
    assert same(second, going_on(make(examples), 1, 0))
    assert not same(first[:1], second[:1])
    assert batches.state_dict()["epoch"] == 2
    batches.set_epoch(0)
    assert same(first, batches)


@KINDS
def test_the_next_batch_after_going_on_is_the_next_one(examples: Examples, make: Any) -> None:
    interrupted: EpochBatches = make(examples)
    every = [*interrupted, *interrupted]
    whole_epoch = len(make(examples))
    for place in (1, 2, whole_epoch // 2, whole_epoch - 1, whole_epoch, whole_epoch + 3):
        begun = make(examples)
        reading = iter(begun)
        for _ in range(min(place, whole_epoch)):
            next(reading)
        if place > whole_epoch:
            reading = iter(begun)
            for _ in range(place - whole_epoch):
                next(reading)
        resumed = make(examples, seed=99)
        resumed.load_state_dict(begun.state_dict())
        rest = list(resumed) if place >= whole_epoch else [*resumed, *resumed]
        assert same(rest, every[place:])


@KINDS
def test_an_epoch_of_which_nothing_is_left_ends_at_once(examples: Examples, make: Any) -> None:
    batches = going_on(make(examples), 0, len(make(examples)))
    assert list(batches) == []
    assert batches.state_dict()["epoch"] == 1


@KINDS
def test_nothing_is_read_twice_and_nothing_that_is_not_needed(examples: Examples, make: Any) -> None:
    counted = Counted(examples)
    batches = list(make(counted))
    assert counted.reads == Counter(u for u in LENGTHS if int(u[1:]) % 4 != 3)
    middle = len(batches) // 2
    counted.reads.clear()
    list(going_on(make(counted), 0, middle))
    assert counted.reads == Counter({name for batch in batches[middle:] for name in batch.utterance_ids})


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_read_their_streams_of_the_same_batches(examples: Examples, ranks: int) -> None:
    counted = [Counted(examples) for _ in range(ranks)]
    parts = [list(streams(counted[rank], rank=rank, world_size=ranks)) for rank in range(ranks)]
    for alone, *together in zip(streams(examples), *parts, strict=True):
        for name in ("features", "labels", "mask"):
            joined = torch.cat([getattr(part, name) for part in together], dim=1)
            assert torch.equal(joined, getattr(alone, name))
        assert alone.utterance_ids == [name for part in together for name in part.utterance_ids]
    assert max(sum((each.reads for each in counted), Counter()).values()) == 1


def test_ranks_share_whole_utterances_in_step(examples: Examples) -> None:
    alone, *parts = (
        list(whole(examples, rank=rank, world_size=ranks)) for rank, ranks in [(0, 1), (0, 3), (1, 3), (2, 3)]
    )
    for one, *together in zip(alone, *parts, strict=True):
        assert len({part.features.shape for part in together}) == 1
        assert sorted(one.utterance_ids) == sorted(name for part in together for name in part.utterance_ids)
        assert int(one.mask.sum()) == sum(int(part.mask.sum()) for part in together)


def test_more_ranks_than_utterances_go_in_step(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, {"only": 30})
    parts = [
        list(streams(open_examples(corpus.url), targets=False, rank=rank, world_size=4)) for rank in range(4)
    ]
    assert [len(part) for part in parts] == [2] * 4
    assert [sum(int(batch.mask.sum()) for batch in part) for part in parts] == [30, 0, 0, 0]


def test_stores_are_mixed(examples: Examples, corpus: Corpus, tmp_path: Path) -> None:
    more = make_corpus(tmp_path / "corpus", {f"v{n:02}": 100 for n in range(60)}, seed=1)
    other = open_examples(make_store(tmp_path / "store", more, TopK(k=8)).url)
    batches = list(streams([examples, other]))
    names = {name for batch in batches for name in batch.utterance_ids}
    assert {name for name in names if name[0] == "u"} == {u for u in LENGTHS if int(u[1:]) % 4 != 3}
    assert len(names) == 90
    both = [batch for batch in batches if len({name[0] for name in batch.utterance_ids}) == 2]
    assert len(both) > len(batches) / 4
    assert sum(int(batch.mask.sum()) for batch in batches) == examples.num_frames("train") + 45 * 100
    assert same(going_on(streams([examples, other]), 0, 30), batches[30:])


def test_memory_holds_no_more_than_a_window_and_the_utterances_in_use(tmp_path: Path) -> None:
    lengths = {f"u{n:03}": 100 + n % 57 for n in range(600)}
    examples = open_examples(make_corpus(tmp_path, lengths).url)
    batches = streams(examples, targets=False)
    plan = batches.plan(0, 0)
    assembler = Assembler(
        [examples], batches.utterances, plan, range(plan.batches), delay=DELAY, targets=False
    )
    most = 0
    for start in range(0, plan.batches, 8):
        assembler(range(start, min(start + 8, plan.batches)))
        most = max(most, assembler.reader.held_frames)
    # A run is a shard of 512 frames here.
    assert most <= 16 * 512 + STREAMS * 156
    assert assembler.reader.held_frames == 0
    assert most < sum(lengths.values()) / 5


@KINDS
def test_a_loop_that_stops_early_leaves_no_thread(examples: Examples, make: Any) -> None:
    before = threading.active_count()
    for _ in make(examples):
        break
    wait_for(lambda: threading.active_count() == before)


def test_a_damaged_store_is_an_error_in_the_loop(corpus: Corpus) -> None:
    with damaged(corpus, shard=3), pytest.raises(CorruptDataError, match="features/c/3/0"):
        list(streams(open_examples(corpus.url), targets=False))


def test_a_state_of_other_utterances_is_refused(examples: Examples, corpus: Corpus) -> None:
    state = streams(examples).state_dict()
    assert set(state) == {"seed", "epoch", "batch", "frames"}
    with pytest.raises(ConflictError, match=r"were of \d+ frames, .* now makes"):
        streams(examples).load_state_dict(state | {"frames": 1})
    with pytest.raises(InvalidInputError, match="no state of batches"):
        streams(examples).load_state_dict({"epoch": 1})


def test_blocks_of_frames_hold_every_utterance_once_and_go_on_anywhere(examples: Examples) -> None:
    def blocks(epoch: int = 1) -> FrameBlocks:
        return FrameBlocks(counted, "train", block_frames=700, seed=0, epoch=epoch)

    counted = Counted(examples)
    every = [[example.utterance_id for example in block] for block in blocks().read()]
    assert sorted(name for block in every for name in block) == sorted(counted.reads)
    assert max(counted.reads.values()) == 1
    assert blocks().frames == [sum(LENGTHS[name] for name in block) for block in every]
    assert max(blocks().frames) <= 700
    assert len(every) > 4
    for first in (1, 3, len(every)):
        counted.reads.clear()
        rest = [[example.utterance_id for example in block] for block in blocks().read(first)]
        assert rest == every[first:]
        assert counted.reads == Counter(name for block in rest for name in block)
    assert blocks(2).frames != blocks().frames


def test_what_does_not_go_together_is_refused(examples: Examples, corpus: Corpus, tmp_path: Path) -> None:
    other = open_examples(make_store(tmp_path, corpus, TopK(k=9)).url)
    with pytest.raises(InvalidInputError, match="encoded differently"):
        streams([examples, other])
    assert len(streams([examples, other], targets=False)) > 0
    with pytest.raises(InvalidInputError, match="has no soft targets"):
        streams(open_examples(corpus.url))
    with pytest.raises(InvalidInputError, match="no store"):
        streams([])
    with pytest.raises(InvalidInputError, match="4 streams cannot be shared by 3 ranks"):
        streams(examples, world_size=3)
    with pytest.raises(InvalidInputError, match="no rank 2 of 2"):
        streams(examples, rank=2, world_size=2)
    with pytest.raises(InvalidInputError, match="no frames in the split 'dev'"):
        StreamBatches(examples, "dev", streams=1, chunk_frames=20, delay=0, seed=0, targets=False)
