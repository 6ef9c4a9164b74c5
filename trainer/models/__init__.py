"""Acoustic models: frames of features → logits over senones.

A model has two halves, so that only frames that count reach the wide output layer, and all models are
trained, evaluated and used as teachers alike:

- ``embed(utterances)``: whole utterances, each (frames, dimensions) float32 → their last hidden layer, one
  row a frame, utterances one after another, any output delay already taken out;
- ``classify(hidden)``: (rows, hidden) → logits, (rows, classes).
"""

from __future__ import annotations

from trainer.models.base import AcousticModel
from trainer.models.dnn import DNN, DNNConfig
from trainer.models.lstmp import LSTMP, LSTMPConfig

__all__ = ["DNN", "LSTMP", "AcousticModel", "DNNConfig", "LSTMPConfig"]
