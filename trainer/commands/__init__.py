"""The trainer's sub-commands; one file each."""
