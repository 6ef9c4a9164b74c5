"""The whole journey on real audio, by the public commands; what `softstore demo` runs."""
