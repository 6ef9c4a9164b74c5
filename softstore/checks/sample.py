"""Checks of what a sample of utterances decodes to, against the certificate and against the teacher.

Where KL(p ‖ q) ≤ ε, p and q are at most δ = √(ε / 2) apart in total variation (Pinsker), and their entropies
at most δ log(C - 1) + h(δ), with h the binary entropy (Fannes; Audenaert 2007, the classical case). That is
concave in ε, so it holds for the means over an utterance's frames, too: the decoded entropy cannot be further
from the certificate's ``entropy`` than ``mean_kl_t1`` allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from softstore.checks.report import FaultKind, Report
from softstore.errors import ConflictError, CorruptDataError, FormatError, InvalidInputError
from softstore.format import FEATURES, Attributes
from softstore.frames import Frames
from softstore.inference import ask
from softstore.softening import entropy, kl_divergence, log_soften
from softstore.storage import Storage
from softstore.store import Store
from softstore.teacher import Teacher
from softstore.utterance import StoredUtterance

_ROUNDING = 1e-3
"""How far sums over a row in float32 may be from what they should be."""

_OTHER_HARDWARE = 0.05
"""Relative; another device rounds a teacher's products otherwise."""

Progress = Callable[[int, int], None]
"""Called with (utterances done, utterances to do)."""


def check_teacher(attributes: Attributes, teacher: Teacher) -> None:
    """Is it the store's, and can it be asked?

    Raises:
        ConflictError: it is another.
        InvalidInputError: this is a corpus, the store has no features for the teacher, or was not measured
            against it.
    """
    if attributes.kind != "soft_targets" or FEATURES not in attributes.tracks:
        raise InvalidInputError(
            "There are no soft targets with features here to compare with a teacher: verify without one."
        )
    if attributes.teacher is None or attributes.teacher.fingerprint != teacher.fingerprint:
        raise ConflictError("The store was made by another teacher: verify with that one.")
    if attributes.recoded_from:
        raise InvalidInputError(
            "The store was recoded, its certificate is against the store it was made from: verify without a "
            "teacher."
        )


def check_sample(
    storage: Storage, report: Report, size: int, teacher: Teacher | None, progress: Progress
) -> None:
    """Decode ``size`` utterances of shards without faults, spread evenly; none if the manifest is damaged."""
    try:
        store = Store(Frames(storage))
        table = store.manifest.table
    except (CorruptDataError, FormatError) as error:
        if report.sound:
            report.add(FaultKind.DECODING, "zarr.json", str(error))
        return
    rows = np.flatnonzero(~np.isin(table["shard"].to_numpy(), list(report.damaged)))
    chosen = rows[np.linspace(0, len(rows) - 1, min(size, len(rows))).astype(int)]
    for done, row in enumerate(table.take(chosen)["utterance_id"].to_pylist()):
        progress(done, len(chosen))
        utterance = store[row]
        kind, what = FaultKind.DECODING, _wrong_decoding(utterance)
        if teacher is not None and not what:
            kind, what = FaultKind.TEACHER, _wrong_divergence(utterance, teacher)
        if what:
            report.add(
                kind, "targets", f"Utterance {row!r} {what}.", [int(utterance.row["shard"])], utterance_id=row
            )
        report.checked.sampled += 1
    report.checked.teacher = teacher is not None
    progress(len(chosen), len(chosen))


def entropy_bound(mean_kl: float, class_count: int) -> float:
    """How far apart the mean entropies of two sequences of distributions may be, in nats."""
    distance = min(math.sqrt(max(mean_kl, 0) / 2), 1 - 1 / class_count)
    if distance == 0:
        return 0.0
    binary = -distance * math.log(distance) - (1 - distance) * math.log1p(-distance)
    return distance * math.log(class_count - 1) + binary


def _wrong_decoding(utterance: StoredUtterance) -> str:
    """What is wrong with it, or nothing."""
    log_q = torch.from_numpy(utterance.log_posteriors())
    if bool(log_q.isnan().any()) or bool((log_q > _ROUNDING).any()):
        return "does not decode to probabilities"
    if bool((log_q.logsumexp(-1).abs() > _ROUNDING).any()):
        return "decodes to posteriors that do not sum to 1"
    attributes = utterance.frames.attributes
    if 1.0 not in attributes.certificate_temperatures:
        return ""
    found, stored = float(entropy(log_q).double().mean()), float(utterance.row["entropy"])
    allowed = entropy_bound(float(utterance.row["mean_kl_t1"]), attributes.class_count)
    if not abs(found - stored) <= allowed + _ROUNDING * (1 + stored):
        return (
            f"decodes to an entropy of {found:.3f} nats, its certificate allows {stored:.3f} ± {allowed:.3f}"
        )
    return ""


def _wrong_divergence(utterance: StoredUtterance, teacher: Teacher) -> str:
    attributes = utterance.frames.attributes
    log_p = ask(teacher, [utterance], attributes.class_count)[0].cpu()
    for temperature in attributes.certificate_temperatures:
        log_q = torch.from_numpy(utterance.log_posteriors(temperature))
        kl = kl_divergence(log_soften(log_p, temperature), log_q)
        for name, found in (("mean", float(kl.mean())), ("max", float(kl.max()))):
            stored = float(utterance.row[f"{name}_kl_t{temperature:g}"])
            if not abs(found - stored) <= _ROUNDING + _OTHER_HARDWARE * stored:
                return (
                    f"diverges from the teacher by {found:.3g} nats ({name}, T = {temperature:g}), the "
                    f"certificate says {stored:.3g}"
                )
    return ""
