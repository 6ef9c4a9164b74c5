"""Objects below the URL that nothing refers to: what runs left that were killed, and what is not ours."""

from __future__ import annotations

import re
from collections.abc import Callable

from softstore.checks.manifest import Published
from softstore.checks.report import Orphan, Report
from softstore.commit import is_staged
from softstore.format import (
    CODEC,
    IDS,
    LANG,
    SENONES,
    Attributes,
    codec_object,
    id_bucket,
    manifest_part,
    shard_object,
)
from softstore.local_files import LocalFiles
from softstore.metadata import metadata_objects
from softstore.parts import part_of_path
from softstore.storage import Storage

_STAGED = re.compile(r"#\d+$")
_LANG = re.compile(rf"{LANG}/[^/]+\.json")


def find_orphans(storage: Storage, attributes: Attributes, published: Published, report: Report) -> None:
    """Superseded and unused manifest parts, objects of unpublished shards, files that were never whole.

    Only what bears a name that softstore gives is an orphan; everything else that lies there, such as notes
    or another store, is foreign: it is reported, and nobody's to delete.

    They need a listing, which a web server does not give: then nothing is looked for.
    """
    if storage.url.startswith(("http://", "https://")):
        return
    report.checked.listed = True
    known = set(metadata_objects(attributes)) | {manifest_part(*span) for span in published.spans}
    known |= {codec_object(name, array) for name, array in attributes.codec_arrays.items()}
    if attributes.kind == "corpus":
        known.add(SENONES)
    if attributes.id_index is not None:
        known |= {id_bucket(attributes.id_index, n) for n in range(attributes.id_index.buckets)}
    # What a part that cannot be read refers to is unknown: whatever may be of its shards is kept.
    for shard in published.shards.keys() | published.unreadable:
        known |= {shard_object(track, spec, shard) for track, spec in attributes.tracks.items()}
    written = _written(attributes)
    for path, size in storage.walk():
        if path not in known:
            (report.orphans if written(path) else report.foreign).append(Orphan(path, size))
    if isinstance(storage.backend, LocalFiles):
        for path, size in storage.backend.staged():
            whole = _STAGED.sub("", path)
            ours = whole in known or _LANG.fullmatch(whole) or written(whole)
            (report.orphans if ours else report.foreign).append(Orphan(path, size))


def _written(attributes: Attributes) -> Callable[[str], bool]:
    """Whether a run may have written an object: chunks, manifest parts, indexes of ids, staged ones."""
    tracks = "|".join(map(re.escape, attributes.tracks))
    chunks = re.compile(
        rf"(?:{tracks})/(?:zarr\.json|c(?:/[0-9]+)+)|{CODEC}/[A-Za-z0-9_-]+/(?:zarr\.json|c(?:/0)+)"
        rf"|{IDS}/[0-9a-f]{{8}}/[0-9]+"
    )
    return lambda path: bool(chunks.fullmatch(path)) or part_of_path(path) is not None or is_staged(path)
