"""The most a client can ask for. Each is named, with its value, in the problem that refuses more."""

from __future__ import annotations

JSON_FRAMES = 2_000
"""Frames of posteriors in one JSON answer."""

NPY_FRAMES = 20_000
"""Frames of posteriors in one npy answer."""

PAGE_UTTERANCES = 1_000
"""Utterances in one page of a listing."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 1_000.0
"""Outside these float32 softmax is one-hot or uniform."""

PIECE_BYTES = 16 * 1024 * 1024
"""A raw object is read and sent in pieces of at most this many bytes."""
