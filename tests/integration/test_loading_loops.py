"""Batches in other people's loops: the README's, a DataLoader with worker processes, and accelerate."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from softstore.codecs import TopK
from tests.loading_data import LENGTHS, going_on, same, streams, whole
from tests.samples import CLASSES, DIMENSIONS, make_corpus, make_store
from tests.web_server import web_server
from trainer.examples import Examples, open_examples
from trainer.loading import Batch, EpochBatches

PLACE = 7
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("loops")
    corpus = make_corpus(root / "corpus", LENGTHS)
    (root / "runs/demo").mkdir(parents=True)
    make_store(root / "runs/demo/store", corpus, TopK(k=8))
    return root


@pytest.fixture(scope="module")
def examples(root: Path) -> Examples:
    return open_examples(root / "runs/demo/store")


def loader(batches: EpochBatches, workers: int, **told: Any) -> DataLoader[Batch]:
    context = "spawn" if workers else None
    return DataLoader(batches, batch_size=None, num_workers=workers, multiprocessing_context=context, **told)


@pytest.mark.parametrize("make", [streams, whole])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_hands_out_the_same_batches_in_order(
    examples: Examples, make: Any, workers: int
) -> None:
    expected = list(make(examples))[PLACE:]
    loading = loader(going_on(make(examples), 0, PLACE), workers, persistent_workers=workers > 0)
    assert same(loading, expected)
    # The next epoch's turn has come in the workers, too.
    assert same(loading, going_on(make(examples), 1, 0))


def test_workers_read_a_store_on_a_web_server(root: Path, examples: Examples) -> None:
    with web_server(root) as url:
        remote = open_examples(f"{url}/runs/demo/store")
        assert same(loader(whole(remote), 2), whole(examples))


def test_the_readmes_loop_runs_and_learns(root: Path) -> None:
    (code,) = re.findall(r"#### In your own loop\n.*?```python\n(.*?)```", README.read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    losses = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert losses[-1] < losses[0]


def test_accelerate_trains_on_them(examples: Examples) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    linear = torch.nn.Linear(DIMENSIONS, CLASSES)
    model, optimizer = accelerator.prepare(linear, torch.optim.SGD(linear.parameters(), lr=0.1))
    # Their ranks share the batches themselves: they are not to be prepared.
    batches = streams(examples, rank=accelerator.process_index, world_size=accelerator.num_processes)
    for batch in islice(loader(batches, 0), 2):
        here = batch.to(accelerator.device, non_blocking=True)
        before = linear.weight.detach().clone()
        logits = model(here.features)[here.mask]
        accelerator.backward(torch.nn.functional.cross_entropy(logits, here.labels[here.mask]))
        optimizer.step()
        optimizer.zero_grad()
        assert not torch.equal(before, linear.weight)
    assert batches.state_dict()["batch"] == 2
