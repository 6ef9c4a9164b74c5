"""The option by which commands are told how to read from a service that asks for tokens."""

from __future__ import annotations

from typing import Annotated

import typer

TokenOption = Annotated[str | None, typer.Option(envvar="SOFTSTORE_TOKEN", help="Bearer token for http(s).")]
