"""Objects below the URL that nothing refers to: what runs left that were killed."""

from __future__ import annotations

from softstore.checks.manifest import Published
from softstore.checks.report import Orphan, Report
from softstore.format import SENONES, Attributes, codec_object, manifest_part, shard_object
from softstore.local_files import LocalFiles
from softstore.metadata import metadata_objects
from softstore.storage import Storage


def find_orphans(storage: Storage, attributes: Attributes, published: Published, report: Report) -> None:
    """Superseded and unused manifest parts, objects of unpublished shards, files that were never whole.

    They need a listing, which a web server does not give: then nothing is looked for.
    """
    if storage.url.startswith(("http://", "https://")):
        return
    report.checked.listed = True
    known = set(metadata_objects(attributes)) | {manifest_part(*span) for span in published.spans}
    known |= {codec_object(name, array) for name, array in attributes.codec_arrays.items()}
    if attributes.kind == "corpus":
        known.add(SENONES)
    # What a part that cannot be read refers to is unknown: whatever may be of its shards is kept.
    for shard in published.shards.keys() | published.unreadable:
        known |= {shard_object(track, spec, shard) for track, spec in attributes.tracks.items()}
    report.orphans = [Orphan(path, size) for path, size in storage.walk() if path not in known]
    if isinstance(storage.backend, LocalFiles):
        report.orphans += [Orphan(path, size) for path, size in storage.backend.staged()]
