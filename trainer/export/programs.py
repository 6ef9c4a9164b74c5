"""Models as programs in a file: TorchScript, `torch.export` or ONNX."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from softstore.errors import MissingDependencyError
from trainer.checkpoint import Checkpoint, write_whole
from trainer.export.directions import Looped, Scanned
from trainer.export.plain import Scores, plain

INPUT = "features"
NOTES = "softstore.json"
"""Where a TorchScript or exported program has what ONNX has as metadata: where it comes from."""


class Format(StrEnum):
    """What runs the program: ``torch.jit.load``, ``torch.export.load``, or any ONNX runtime."""

    TORCHSCRIPT = "torchscript"
    TORCH_EXPORT = "torch-export"
    ONNX = "onnx"


def export_model(checkpoint: Checkpoint, path: Path, form: Format, *, log_likelihoods: bool = False) -> None:
    """Write a model as a program for one utterance; see `trainer.export`.

    Args:
        log_likelihoods: instead of log-posteriors.

    Raises:
        MissingDependencyError: ONNX is not installed.
        StorageError: the file cannot be written.
    """
    model = checkpoint.model
    said = "log_likelihoods" if log_likelihoods else "log_posteriors"
    notes = {
        "kind": model.config.kind,
        "fingerprint": checkpoint.fingerprint,
        "features": checkpoint.description["features"],
        "output": said,
    }
    direction = Looped if form is Format.TORCHSCRIPT else Scanned
    scores = Scores(model.log_prior if log_likelihoods else torch.zeros(()))
    module = nn.Sequential(*plain(model, direction), scores).eval()
    with torch.no_grad(), _quiet():
        program = _WRITERS[form](module, torch.zeros(8, model.input_dim), notes)
    write_whole(path, program)


def _torchscript(module: nn.Module, example: Tensor, notes: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    scripted = torch.jit.script(module)
    torch.jit.save(scripted, buffer, _extra_files={NOTES: json.dumps(notes)})
    return buffer.getvalue()


def _exported(module: nn.Module, example: Tensor, notes: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    program = torch.export.export(module, (example,), dynamic_shapes=_ANY_FRAMES)
    for graph in program.graph_module.modules():
        if isinstance(graph, torch.fx.GraphModule):
            for node in graph.graph.nodes:
                node.meta.pop("stack_trace", None)
    torch.export.save(program, buffer, extra_files={NOTES: json.dumps(notes)})
    return buffer.getvalue()


def _onnx(module: nn.Module, example: Tensor, notes: Mapping[str, Any]) -> bytes:
    try:
        for name in ("onnx", "onnxscript"):
            import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"ONNX is written with {error.name}: pip install 'softstore[export]'."
        ) from error
    program = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        dynamic_shapes=_ANY_FRAMES,
        input_names=[INPUT],
        output_names=[str(notes["output"])],
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    _forget(model.graph)
    for name, value in notes.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value if isinstance(value, str) else json.dumps(value)
    return bytes(model.SerializeToString(deterministic=True))


_ANY_FRAMES = ({0: torch.export.Dim("frames", min=1)},)

_WRITERS: dict[Format, Callable[[nn.Module, Tensor, Mapping[str, Any]], bytes]] = {
    Format.TORCHSCRIPT: _torchscript,
    Format.TORCH_EXPORT: _exported,
    Format.ONNX: _onnx,
}


def _forget(graph: Any) -> None:
    """Take from an ONNX graph what the exporter notes of the machine and the source code it ran."""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget(attribute.g)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del value.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say to their own developers."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
