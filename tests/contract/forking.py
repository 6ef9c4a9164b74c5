"""Run as a program: fork after storages were used, and say as JSON how the child fared with each.

    python -m tests.contract.forking URL UNUSED_URL

The child reads ``x`` from ``URL``, as the parent did, then from ``UNUSED_URL``, as it did not, then from
``URL`` opened anew.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from softstore.errors import StorageError
from softstore.storage import open_storage


def main(url: str, unused_url: str) -> None:
    used, unused = open_storage(url), open_storage(unused_url)
    used.get("x")
    said, say = os.pipe()
    if os.fork() == 0:
        signal.alarm(20)
        answers = []
        for storage in (used, unused, open_storage(url)):
            try:
                answers.append(storage.get("x").decode())
            except StorageError as error:
                answers.append(str(error))
        os.write(say, json.dumps(answers).encode())
        os._exit(0)
    os.close(say)
    _, status = os.wait()
    assert used.get("x")
    sys.stdout.write(os.read(said, 1 << 16).decode() if status == 0 else json.dumps([f"status {status}"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
