"""Trained models for other programs: as a program of plain tensor operations, or as what they say of a split.

A program takes the features of one utterance, (frames, dimensions) float32, any number of frames, and returns
(frames, classes) float32: log-posteriors in nats, or log-likelihoods, which are those less the senones'
log-prior, up to a constant of each frame. A recurrent model's output delay is already taken out.
"""

from __future__ import annotations

from trainer.export.kaldi import write_log_likelihoods
from trainer.export.programs import Format, export_model

__all__ = ["Format", "export_model", "write_log_likelihoods"]
