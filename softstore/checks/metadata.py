"""Checks of what a store or corpus has once: every ``zarr.json``, codec arrays, a corpus's senones."""

from __future__ import annotations

from softstore.checks.report import FaultKind, Report
from softstore.codec_arrays import read_codec_arrays
from softstore.corpus import read_senones
from softstore.errors import CorruptDataError, NotFoundError
from softstore.format import ROOT_METADATA, SENONES, SENONES_CHECKSUM, Attributes, codec_object
from softstore.metadata import metadata_objects
from softstore.storage import Storage


def check_metadata(storage: Storage, attributes: Attributes, report: Report) -> None:
    """Every ``zarr.json`` against what the attributes make of it, byte for byte."""
    for path, expected in metadata_objects(attributes).items():
        kind = FaultKind.ROOT if path == ROOT_METADATA else FaultKind.METADATA
        report.checked.metadata += 1
        try:
            found = storage.get(path)
        except NotFoundError:
            report.add(kind, path, f"{path} is missing.")
            continue
        if found != expected:
            report.add(kind, path, f"{path} is not what the attributes of the store make it.")


def check_codec_arrays(storage: Storage, attributes: Attributes, report: Report) -> None:
    """Size, checksums and content of each."""
    for name, array in attributes.codec_arrays.items():
        report.checked.codec_arrays += 1
        try:
            read_codec_arrays(storage, attributes.model_copy(update={"codec_arrays": {name: array}}))
        except CorruptDataError as error:
            report.add(FaultKind.CODEC_ARRAY, codec_object(name, array), str(error))


def check_senones(storage: Storage, attributes: Attributes, report: Report) -> None:
    """A corpus's ``lang/senones.json``, where its attributes have a checksum of it."""
    if attributes.kind == "corpus" and SENONES_CHECKSUM in attributes.corpus:
        try:
            read_senones(storage, attributes)
        except (CorruptDataError, NotFoundError) as error:
            report.add(FaultKind.SENONES, SENONES, str(error))
