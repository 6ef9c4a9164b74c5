"""Where a model is trained."""

from __future__ import annotations

import os

import torch

from softstore.errors import InvalidInputError
from trainer.streams import Batch


def choose_device(name: str | None = None) -> torch.device:
    """A device by name, ``cpu``, ``cuda`` or ``cuda:1``; without one a GPU if there is any.

    Of several processes that ``torchrun`` has started, each gets a GPU of its own for ``cuda``.

    Raises:
        InvalidInputError: there is no such device.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InvalidInputError(f"There is no device {name!r}: name cpu, cuda or cuda:1.") from None
    if device.type not in ("cpu", "cuda"):
        raise InvalidInputError(f"Models are trained on cpu or cuda, not on {name}.")
    if device.type == "cpu":
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise InvalidInputError(
            f"There is no device cuda:{index} here, where torch finds {torch.cuda.device_count()} GPUs."
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def moved(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device; to a GPU it is on its way while other work goes on."""
    return batch if device.type == "cpu" else batch.pin_memory().to(device, non_blocking=True)
