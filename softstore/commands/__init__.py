"""The core's own sub-commands; one file each."""
