"""`softstore copy`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from softstore.commands.token_option import TokenOption
from softstore.copy import Copied
from softstore.copy import copy as run
from softstore.storage import open_storage


def copy(
    source: Annotated[str, typer.Argument(help="Store or corpus: a path or URL.")],
    destination: Annotated[str, typer.Argument(help="Where the copy is, or is to be: a path or s3:// URL.")],
    token: TokenOption = None,
) -> None:
    """Copy a store or corpus to another place; what is damaged is not copied but named.

    Every object is held against its checksum on the way. Stopped, the copy cannot be opened yet, or is what
    it was before: run it again, and it goes on. A copy of a store that has grown gets only what is new.

        softstore copy runs/demo/store s3://bucket/demo
        softstore copy https://host/v1/stores/demo/objects here/demo
    """
    read_from = open_storage(source, token=token)
    write_to = open_storage(destination, writable=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Copying", total=None)
        done = run(read_from, write_to, lambda done, total: bar.update(task, completed=done, total=total))
    Console(soft_wrap=True, highlight=False).print(Text(_sentence(done, write_to.url)))


def _sentence(done: Copied, url: str) -> str:
    whole = f"{url} holds {done.utterances:,} utterances."
    if not done.objects:
        return f"Nothing to copy: {whole}"
    before = f" {done.present:,} were there already." if done.present else ""
    return f"Copied {done.objects:,} objects, {done.bytes:,} bytes.{before} {whole}"
