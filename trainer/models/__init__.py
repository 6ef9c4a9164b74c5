"""Acoustic models: frames of features → logits over senones.

A model has two halves, so that only frames that count reach the wide output layer, and all models are
trained, evaluated and used as teachers alike:

- ``embed(utterances)``: whole utterances, each (frames, dimensions) float32 → their last hidden layer, one
  row a frame, utterances one after another, any output delay already taken out;
- ``classify(hidden)``: (rows, hidden) → logits, (rows, classes).
"""

from __future__ import annotations

from trainer.models.base import AcousticModel, ModelConfig
from trainer.models.blstm import BLSTM, BLSTMConfig
from trainer.models.dnn import DNN, DNNConfig
from trainer.models.lstm import LSTM, LSTMConfig
from trainer.models.lstmp import LSTMP, LSTMPConfig
from trainer.models.recurrent import RecurrentConfig, RecurrentModel, State

__all__ = [
    "BLSTM",
    "CONFIGS",
    "DNN",
    "LSTM",
    "LSTMP",
    "AcousticModel",
    "BLSTMConfig",
    "DNNConfig",
    "LSTMConfig",
    "LSTMPConfig",
    "ModelConfig",
    "RecurrentConfig",
    "RecurrentModel",
    "State",
]

CONFIGS: dict[str, type[ModelConfig]] = {
    config.kind: config for config in (DNNConfig, LSTMPConfig, LSTMConfig, BLSTMConfig)
}
"""The kinds of models there are, by name."""
