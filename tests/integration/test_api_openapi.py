"""The OpenAPI document is true: schemathesis makes requests from it, and holds the answers against it.

All of its checks; a few requests for each operation, or SOFTSTORE_EXAMPLES of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from softstore import Store
from tests.processes import ROOT
from tests.service_process import service

pytest.importorskip("schemathesis")

EXAMPLES = os.environ.get("SOFTSTORE_EXAMPLES", "5")


def test_whatever_the_document_allows_is_answered_as_it_says(store: Store, tmp_path: Path) -> None:
    with service(f"demo={store.url}", f"again={store.url}") as served:
        command = ["run", f"{served.url}/openapi.json", "--checks", "all", "-n", EXAMPLES, "--seed", "1"]
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                *("--config-file", ROOT / "tests" / "schemathesis.toml"),
                *command,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout
    assert "Tested" in done.stdout
