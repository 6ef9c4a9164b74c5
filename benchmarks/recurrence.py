"""Forward and backward of the students' recurrent layers, on a GPU if there is one, against an autograd loop.

The LSTMP has peepholes and a cell clip; the LSTM is ``torch.nn.LSTM`` (on a GPU cuDNN's), and does less. The
autograd loop is the LSTMP's equations step by step, differentiated by PyTorch. A GPU also replays the LSTMP
from CUDA graphs, as training does there.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
import typer
from torch import Tensor, nn

from benchmarks.harness import JsonOption, QuickOption, Row, alternating, median_ratio, report
from trainer.device import choose_device
from trainer.models import LSTMP, LSTMConfig, LSTMPConfig, RecurrentModel, State
from trainer.models.graphed import GraphedSteps
from trainer.models.recurrence import CELL_CLIP

INPUT, CLASSES, STEPS = 40, 2008, 20
SHAPES = {"demo": (192, 96, 32), "wide": (512, 256, 32), "paper": (800, 512, 4)}


DEVICE = choose_device()

Steps = Callable[[Tensor, list[State]], tuple[Tensor, list[State]]]


def ours(model: RecurrentModel, steps: Steps, features: Tensor) -> Callable[[], object]:
    def run() -> None:
        hidden, _ = steps(features, model.initial_state(features.shape[1]))
        back(hidden)

    return run


def back(hidden: Tensor) -> None:
    hidden.sum().backward()  # type: ignore[no-untyped-call]
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def autograd_loop(model: LSTMP, features: Tensor) -> Callable[[], object]:
    def layer(inputs: Tensor, parameters: nn.Module) -> Tensor:
        weights = dict(parameters.named_parameters())
        cells = weights["projection"].shape[1]
        before_c = inputs.new_zeros(inputs.shape[1], cells)
        before_r = inputs.new_zeros(inputs.shape[1], weights["projection"].shape[0])
        outputs = []
        for driven in inputs @ weights["input_weight"].t() + weights["bias"]:
            i, f, o, g = (driven + before_r @ weights["recurrent_weight"].t()).chunk(4, dim=1)
            to_i, to_f, to_o = weights["peepholes"]
            i, f = torch.sigmoid(i + to_i * before_c), torch.sigmoid(f + to_f * before_c)
            before_c = (f * before_c + i * torch.tanh(g)).clamp(-CELL_CLIP, CELL_CLIP)
            o = torch.sigmoid(o + to_o * before_c)
            before_r = (o * torch.tanh(before_c)) @ weights["projection"].t()
            outputs.append(before_r)
        return torch.stack(outputs)

    def run() -> None:
        hidden = features
        for parameters in model.layers:
            hidden = layer(hidden, parameters)
        back(hidden)

    return run


def main(json: JsonOption = None, quick: QuickOption = False) -> None:
    """Frames per second of 20-frame chunks at the student's presets, two layers."""
    rows: list[Row] = []
    for preset, (cells, projection, streams) in SHAPES.items():
        features = torch.randn(STEPS, streams, INPUT, generator=torch.Generator().manual_seed(0)).to(DEVICE)
        sizes = {"cells": cells, "projection": projection}
        lstmp = LSTMPConfig(INPUT, CLASSES, **sizes).build().to(DEVICE)
        lstm = LSTMConfig(INPUT, CLASSES, **sizes).build().to(DEVICE)
        contenders = {
            "softstore LSTMP": ours(lstmp, lstmp.steps, features),
            "softstore LSTM (torch.nn.LSTM, no peepholes)": ours(lstm, lstm.steps, features),
            "autograd loop": autograd_loop(lstmp, features),
        }
        if DEVICE.type == "cuda":
            contenders["softstore LSTMP, CUDA graphs"] = ours(lstmp, GraphedSteps(lstmp), features)
        seconds = alternating(contenders, 3 if quick else 15)
        for name, taken in seconds.items():
            rows.append(
                {
                    "device": DEVICE.type,
                    "preset": preset,
                    "contender": name,
                    "frames/s": STEPS * streams / statistics.median(taken),
                    "times the autograd loop": median_ratio(taken, seconds["autograd loop"]),
                }
            )
    report("recurrence", rows, [], json)


if __name__ == "__main__":
    typer.run(main)
