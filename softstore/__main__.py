"""``python -m softstore`` is the `softstore` command."""

from softstore.cli import main

main()
