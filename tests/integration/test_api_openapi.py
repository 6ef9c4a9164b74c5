"""The OpenAPI document is true: schemathesis makes requests from it, and holds the answers against it.

All of its checks; a few requests for each operation, or SOFTSTORE_EXAMPLES of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.tokens import add_token
from softstore import Store
from tests.processes import ROOT
from tests.service_process import service

pytest.importorskip("schemathesis")

EXAMPLES = os.environ.get("SOFTSTORE_EXAMPLES", "5")


@pytest.mark.parametrize(
    "opened", [None, "*", "demo"], ids=["everybody", "a token for all", "a token for one"]
)
def test_whatever_the_document_allows_is_answered_as_it_says(
    store: Store, tmp_path: Path, opened: str | None
) -> None:
    asked: list[str | Path] = []
    shown: list[str] = []
    if opened is not None:
        asked = ["--tokens", tmp_path / "tokens.json"]
        shown = ["-H", f"Authorization: Bearer {add_token(tmp_path / 'tokens.json', 'anna', [opened])}"]
    with service(f"demo={store.url}", f"again={store.url}", *asked) as served:
        command = ["run", f"{served.url}/openapi.json", "--checks", "all", "-n", EXAMPLES, "--seed", "1"]
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                *("--config-file", ROOT / "tests" / "schemathesis.toml"),
                *command,
                *shown,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    print(done.stdout)  # how many cases there were: pytest -rP
    assert done.returncode == 0
    assert "Tested" in done.stdout
