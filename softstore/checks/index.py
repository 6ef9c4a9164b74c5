"""The check of the index of ids: does it say of every utterance where it is, and of none anything else?"""

from __future__ import annotations

import numpy as np

from softstore.checks.manifest import Published
from softstore.checks.report import FaultKind, Report
from softstore.errors import CorruptDataError, NotFoundError
from softstore.format import IDS, Attributes, id_bucket
from softstore.id_index import cut, entries_of, read_bucket, within
from softstore.storage import Storage


def check_index(storage: Storage, attributes: Attributes, published: Published, report: Report) -> None:
    """Hold every bucket against the manifest, as far as that can be read."""
    index = attributes.id_index
    if index is None:
        return
    covered = {shard for first, last in index.shards for shard in range(first, last + 1)}
    readable = [(shard, shard) for shard in sorted(covered & published.shards.keys())]
    rows = [entries_of(published.shards[shard]) for shard, _ in readable]
    expected = np.sort(np.concatenate([np.empty(0, np.uint64), *rows]))
    for bucket, wanted in enumerate(cut(expected, index.buckets, range(index.buckets))):
        path = id_bucket(index, bucket)
        try:
            found = read_bucket(storage, index, bucket)
        except NotFoundError:
            report.add(FaultKind.INDEX, path, f"{path} is missing.")
            continue
        except CorruptDataError as error:
            report.add(FaultKind.INDEX, path, str(error))
            continue
        if not np.array_equal(found[within(found, readable)], wanted):
            report.add(FaultKind.INDEX, path, f"{path} does not say where the utterances of the store are.")
    if covered.isdisjoint(published.unreadable) and len(expected) != index.utterances:
        report.add(
            FaultKind.INDEX,
            IDS,
            f"The index of ids covers {len(expected):,} utterances, the root says {index.utterances:,}.",
        )
