"""A device is what its name says, or refused with a sentence."""

from __future__ import annotations

import pytest
import torch

from softstore.errors import InvalidInputError
from trainer.device import choose_device


def test_a_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:99", "cuda:-1", ""])
def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        choose_device(name)
