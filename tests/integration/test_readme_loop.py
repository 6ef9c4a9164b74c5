"""The loop that the README shows runs, and learns."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT
from tests.samples import make_corpus, make_store

STORE = '"runs/demo/store"'


def test_the_loop_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (loop,) = (block for block in blocks if "StreamBatches" in block)
    assert loop.count(STORE) == 1
    lengths = {f"u{number:02}": 90 + 7 * number for number in range(40)}
    store = make_store(tmp_path / "store", make_corpus(tmp_path / "corpus", lengths))
    program = tmp_path / "loop.py"
    program.write_text(loop.replace(STORE, repr(store.url)))
    ran = subprocess.run([sys.executable, program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    losses = [float(line.split()[0]) for line in ran.stdout.splitlines()]
    assert len(losses) > 5
    assert sum(losses[-3:]) < sum(losses[:3])
