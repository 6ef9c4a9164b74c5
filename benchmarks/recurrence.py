"""Forward and backward of the student's recurrent layers, against PyTorch's own and a plain autograd loop.

The student's layers have peepholes and a cell clip, which ``torch.nn.LSTM`` has not; it is here as the peer
that does less. The autograd loop is the same equations step by step, differentiated by PyTorch.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
import typer
from torch import Tensor, nn

from benchmarks.harness import JsonOption, QuickOption, Row, alternating, median_ratio, report
from trainer.models import LSTMP, LSTMPConfig
from trainer.models.lstmp import CELL_CLIP

INPUT, CLASSES, STEPS = 40, 2008, 20
SHAPES = {"demo": (192, 96, 32), "wide": (512, 256, 32), "paper": (800, 512, 4)}


def ours(model: LSTMP, features: Tensor) -> Callable[[], object]:
    def run() -> None:
        hidden, _ = model.steps(features, model.initial_state(features.shape[1]))
        hidden.sum().backward()  # type: ignore[no-untyped-call]

    return run


def torch_lstm(cells: int, projection: int, features: Tensor) -> Callable[[], object]:
    model = nn.LSTM(INPUT, cells, num_layers=2, proj_size=projection)

    def run() -> None:
        hidden, _ = model(features)
        hidden.sum().backward()

    return run


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
        hidden.sum().backward()  # type: ignore[no-untyped-call]

    return run


def main(json: JsonOption = None, quick: QuickOption = False) -> None:
    """Frames per second of 20-frame chunks at the student's presets, two layers, on this processor."""
    rows: list[Row] = []
    for preset, (cells, projection, streams) in SHAPES.items():
        features = torch.randn(STEPS, streams, INPUT, generator=torch.Generator().manual_seed(0))
        model = LSTMP(LSTMPConfig(INPUT, CLASSES, cells=cells, projection=projection))
        contenders = {
            "softstore LSTMP": ours(model, features),
            "torch.nn.LSTM (no peepholes)": torch_lstm(cells, projection, features),
            "autograd loop": autograd_loop(model, features),
        }
        seconds = alternating(contenders, 3 if quick else 15)
        for name, taken in seconds.items():
            rows.append(
                {
                    "preset": preset,
                    "contender": name,
                    "frames/s": STEPS * streams / statistics.median(taken),
                    "times the autograd loop": median_ratio(taken, seconds["autograd loop"]),
                }
            )
    report("recurrence", rows, [], json)


if __name__ == "__main__":
    typer.run(main)
