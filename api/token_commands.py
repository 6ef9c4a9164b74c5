"""``softstore token``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.tokens import LONGEST_DAYS, Token, add_token, moment, read_tokens, revoke_token

token = typer.Typer(help="Add, list and revoke the tokens that `serve` asks for.", no_args_is_help=True)

TokensFile = Annotated[
    Path, typer.Option("--tokens", metavar="FILE", envvar="SOFTSTORE_TOKENS", help="The file of tokens.")
]
TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is, or what it is for.")]


@token.command()
def add(
    name: TokenName,
    tokens: TokensFile,
    store: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A store it opens, or a pattern with * and ?; several may be given."
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=LONGEST_DAYS, help="For how long; until it is revoked if left out."),
    ] = None,
) -> None:
    """Make a token and print it, this once: only its hash is kept. Without --store it opens all stores.

    Services that are running know it within a second.

    Examples:

        softstore token add anna --tokens tokens.json

        softstore token add lab --tokens tokens.json --store demo --store 'aurora4-*' --days 90
    """
    print(add_token(tokens, name, store or ["*"], days))


@token.command("list")
def list_tokens(tokens: TokensFile) -> None:
    """Say which tokens there are, since when, until when, and which stores they open."""
    for found in read_tokens(tokens):
        print(f"{found.name:20} {moment(found.added)}  {_end(found):28}  {' '.join(found.stores)}")


@token.command()
def revoke(name: TokenName, tokens: TokensFile) -> None:
    """Take a token away: running services refuse it within a second."""
    revoke_token(tokens, name)


def _end(token: Token) -> str:
    if token.expires is None:
        return "until it is revoked"
    return f"{'expired' if token.access.expired else 'until'} {moment(token.expires)}"
