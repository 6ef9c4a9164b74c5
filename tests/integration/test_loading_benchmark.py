"""The benchmark of loading runs, and reports what its issue asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.loaders import peers
from benchmarks.stream_packing import packed
from trainer.examples import Example


def test_the_quick_run_compares_every_peer_that_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks.loading", "--quick", "--json", str(path)]
    subprocess.run([*command, "--work", str(tmp_path)], check=True, capture_output=True, timeout=300)
    report = json.loads(path.read_text())
    assert report["benchmark"] == "loading"
    rows = {row["contender"]: row for row in report["rows"]}
    there = [peer.name for peer in peers()]
    assert list(rows) == ["softstore, transform", *there]
    assert {"HDF5, float16", "HDF5, float16, gzip"} <= rows.keys()
    # 200 classes of two bytes, 40 features, a label: files that hold less hold something else.
    assert all(rows[name]["bytes/frame"] > 482 for name in there if name.endswith("float16"))
    assert all(row["frames/s"] > 0 and row["softened frames/s"] > 0 for row in rows.values())
    best = min(row["ours, times as quick"] for name, row in rows.items() if name in there)
    smallest = min(row["bytes/frame"] for name, row in rows.items() if name in there)
    assert [target["value"] for target in report["targets"]] == [
        best,
        rows["softstore, transform"]["bytes/frame"] / smallest,
    ]


@pytest.mark.parametrize("block", [1, 3, 100])
def test_utterances_are_packed_whole_and_in_their_order(block: int) -> None:
    lengths = [7, 1, 30, 12, 5, 4, 19]
    steps, delay = 4, 2

    def examples() -> Iterator[Example]:
        for number, length in enumerate(lengths):
            rows = 100 * number + torch.arange(length)
            yield Example(str(number), rows[:, None].float(), rows, {"rows": rows.numpy()})

    nothing = Example(
        "", torch.empty(0, 1), torch.empty(0, dtype=torch.int64), {"rows": np.empty(0, np.int64)}
    )
    batches = list(packed(examples(), nothing, streams=2, steps=steps, delay=delay, block=block))
    labels, mask = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("labels", "mask"))
    heard = torch.cat([batch.features for batch in batches])[..., 0]
    said = torch.cat([batch.encoded["rows"][batch.rows[batch.mask]] for batch in batches])
    by_stream = [labels[:, stream][mask[:, stream]] for stream in range(2)]
    found = sorted(torch.cat(by_stream).tolist())
    assert found == [100 * number + frame for number, length in enumerate(lengths) for frame in range(length)]
    assert all(torch.equal(one, one.sort().values) for one in by_stream)
    assert torch.equal(said, labels[mask])
    # A target comes ``delay`` steps after its frame.
    late = mask.nonzero()[:, 0] - delay
    assert torch.equal(heard[late, mask.nonzero()[:, 1]], labels[mask].float())
    begun = sum(int((~batch.reset).logical_not().sum()) for batch in batches)
    assert begun >= len(lengths)
