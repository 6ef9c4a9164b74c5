"""Is everything there that should be, and is it what was written?

Nothing is taken on trust: every object is read whole, and a sample of utterances is decoded.
"""

from __future__ import annotations

from collections.abc import Callable

from softstore.checks.index import check_index
from softstore.checks.listing import check_listing
from softstore.checks.manifest import check_parts, check_rows
from softstore.checks.metadata import check_codec_arrays, check_metadata, check_senones
from softstore.checks.objects import check_objects
from softstore.checks.orphans import find_orphans
from softstore.checks.report import FaultKind, Report
from softstore.checks.sample import check_sample, check_teacher
from softstore.errors import CorruptDataError
from softstore.format import ROOT_METADATA
from softstore.parts import read_attributes
from softstore.storage import Storage
from softstore.teacher import Teacher

SAMPLE = 32
"""Utterances decoded."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, to do); ``Reading`` counts bytes, ``Decoding`` utterances."""


def verify(
    storage: Storage,
    *,
    sample: int = SAMPLE,
    teacher: Teacher | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """Check a store or corpus; what is wrong is in the report, not raised.

    Args:
        sample: utterances of a store to decode; 0 for none.
        teacher: run it on the sample's features, and compare its posteriors with the certificate.

    Raises:
        NotAStoreError: there is no store or corpus.
        FormatError: of a version this release does not know.
        StorageError: the storage refused or did not answer.
        ConflictError: the teacher is another than the store's, or the store was compacted meanwhile.
        InvalidInputError: a teacher cannot be compared with this.
    """
    report = Report(storage.url)
    try:
        attributes = read_attributes(storage)
    except CorruptDataError as error:
        report.add(FaultKind.ROOT, ROOT_METADATA, str(error))
        return report
    if teacher is not None:
        check_teacher(attributes, teacher)
    report.attributes = attributes
    check_metadata(storage, attributes, report)
    check_codec_arrays(storage, attributes, report)
    check_senones(storage, attributes, report)
    check_listing(storage, attributes, report)
    published = check_parts(storage, attributes, report, report.unlisted)
    check_rows(attributes, published, report)
    check_index(storage, attributes, published, report)
    check_objects(
        storage, attributes, published, report, lambda done, total: progress("Reading", done, total)
    )
    find_orphans(storage, attributes, published, report)
    if sample and attributes.kind == "soft_targets":
        check_sample(storage, report, sample, teacher, lambda done, total: progress("Decoding", done, total))
    return report
