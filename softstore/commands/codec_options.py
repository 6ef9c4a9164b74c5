"""The options by which a command is told how posteriors are to be stored."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from softstore.codecs import Codec, Fidelity, FittedToSample, Float16, Float32, Parameters, TopK, UInt8
from softstore.errors import InvalidInputError


class CodecName(StrEnum):
    """Codecs a new store can have."""

    TRANSFORM = "transform"
    TOPK = "topk"
    UINT8 = "uint8"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


CodecOption = Annotated[CodecName, typer.Option("--codec", help="How posteriors are stored.")]
MaxMeanKlOption = Annotated[
    float | None,
    typer.Option(
        help="transform: the mean KL to keep, in nats, at every certificate temperature. "
        f"[default: {Fidelity().max_mean_kl}]"
    ),
]
MaxKlOption = Annotated[
    float | None, typer.Option(help="transform: no frame is to have a greater KL, in nats, at any of them.")
]
StepOption = Annotated[
    float | None, typer.Option(help="transform: the step of the coefficients in nats, in place of a mean KL.")
]
RankOption = Annotated[int | None, typer.Option(min=1, help="transform: components at most.")]
KOption = Annotated[
    int | None,
    typer.Option(
        "--k",
        min=1,
        help="topk: classes kept; transform with --step or --rank: classes corrected in a frame.",
    ),
]


def chosen_codec(
    name: CodecName,
    *,
    k: int | None,
    max_mean_kl: float | None,
    max_kl: float | None,
    step: float | None,
    rank: int | None,
) -> Codec | FittedToSample:
    """The codec these options name.

    Raises:
        InvalidInputError: options that do not go together.
    """
    if name is not CodecName.TRANSFORM:
        given = {"--max-mean-kl": max_mean_kl, "--max-kl": max_kl, "--step": step, "--rank": rank}
        if name is not CodecName.TOPK:
            given["--k"] = k
        wrong = [option for option, value in given.items() if value is not None]
        if wrong:
            raise InvalidInputError(
                f"The {name} codec has no {wrong[0]}: leave it out, or use --codec transform."
            )
        plain: dict[CodecName, Codec] = {
            CodecName.TOPK: TopK() if k is None else TopK(k),
            CodecName.UINT8: UInt8(),
            CodecName.FLOAT16: Float16(),
            CodecName.FLOAT32: Float32(),
        }
        return plain[name]
    if k is not None and step is None and rank is None:
        raise InvalidInputError("--k of the transform codec goes with --step or --rank: give one, too.")
    if step is None and rank is None:
        return Fidelity(Fidelity().max_mean_kl if max_mean_kl is None else max_mean_kl, max_kl)
    if max_mean_kl is not None:
        raise InvalidInputError("Ask for --max-mean-kl, or give --step, --rank and --k yourself; not both.")
    usual = Parameters(step=2.0)
    return replace(
        usual,
        step=usual.step if step is None else step,
        refined=usual.refined if k is None else k,
        rank=rank,
        max_kl=max_kl,
    )
