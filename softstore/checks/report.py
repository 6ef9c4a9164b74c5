"""What a check found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from softstore.format import Attributes


class FaultKind(StrEnum):
    """What is wrong; the values never change their meaning.

    ``root`` the root's attributes, ``metadata`` another ``zarr.json``, ``codec_array``, ``senones`` of a
    corpus, ``part`` of the manifest, ``manifest`` rows that make no sense, ``index`` of ids, ``object`` of a
    shard, ``labels`` beyond the classes, ``decoding`` of a sample, ``teacher`` whose posteriors are not what
    was certified.
    """

    ROOT = "root"
    METADATA = "metadata"
    CODEC_ARRAY = "codec_array"
    SENONES = "senones"
    PART = "part"
    MANIFEST = "manifest"
    INDEX = "index"
    OBJECT = "object"
    LABELS = "labels"
    DECODING = "decoding"
    TEACHER = "teacher"


_OF_A_SHARD = {FaultKind.PART, FaultKind.MANIFEST, FaultKind.OBJECT}
"""What making the shard again puts right."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where, and in ``message`` what, and what to do."""

    kind: FaultKind
    path: str
    message: str
    shard: int | None = None
    utterance_id: str | None = None


@dataclass(frozen=True, slots=True)
class Orphan:
    """An object that nothing in the store refers to, and its size in bytes."""

    path: str
    size: int


@dataclass(slots=True)
class Checked:
    """How much was looked at.

    Attributes:
        metadata: ``zarr.json`` objects.
        unpublished: shards that there is room for, and no manifest part yet.
        objects, bytes: of shards.
        sampled: utterances whose frames were decoded.
        teacher: whether the sample was compared with the teacher.
        listed: whether orphans could be looked for.
    """

    metadata: int = 0
    codec_arrays: int = 0
    parts: int = 0
    shards: int = 0
    unpublished: int = 0
    utterances: int = 0
    frames: int = 0
    objects: int = 0
    bytes: int = 0
    sampled: int = 0
    teacher: bool = False
    listed: bool = False


@dataclass(slots=True)
class Report:
    """Everything one verification found.

    Attributes:
        attributes: as read; None if they cannot be.
        damaged: shards with faults.
        reopen: those of them that can be made again.
        unlisted: (first, last) shard of merged manifest parts that the root lists no more, but should.
        orphans: left by runs that were stopped.
        foreign: what lies there and softstore did not write.
        repaired: a sentence for everything that was put right.
    """

    url: str
    attributes: Attributes | None = None
    faults: list[Fault] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)
    foreign: list[Orphan] = field(default_factory=list)
    unlisted: list[tuple[int, int]] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    checked: Checked = field(default_factory=Checked)
    damaged: set[int] = field(default_factory=set)
    reopen: set[int] = field(default_factory=set)

    @property
    def sound(self) -> bool:
        """Whether there is no fault; orphans are none, they only take up room."""
        return not self.faults

    def add(
        self,
        kind: FaultKind,
        path: str,
        what: str,
        shards: Iterable[int] = (),
        utterance_id: str | None = None,
    ) -> None:
        """Note one fault of one or several shards; ``what`` is a sentence, what to do is added here."""
        of = sorted(shards)
        self.damaged.update(of)
        if kind in _OF_A_SHARD and self._generated:
            self.reopen.update(of)
        message = f"{what} {self._remedy(kind, of)}"
        self.faults.append(Fault(kind, path, message, of[0] if len(of) == 1 else None, utterance_id))

    def to_json(self) -> dict[str, Any]:
        """JSON values; a fault has ``shard`` and ``utterance_id`` where it is of one."""
        faults = (asdict(fault) for fault in self.faults)
        return {
            "url": self.url,
            "sound": self.sound,
            "checked": asdict(self.checked),
            "faults": [
                {name: value for name, value in fault.items() if value is not None} for fault in faults
            ],
            "orphans": [asdict(orphan) for orphan in self.orphans],
            "foreign": [asdict(orphan) for orphan in self.foreign],
            "repaired": self.repaired,
        }

    @property
    def _generated(self) -> bool:
        return self.attributes is not None and self.attributes.kind == "soft_targets"

    def _remedy(self, kind: FaultKind, shards: list[int]) -> str:
        if self.attributes is None:
            return "Restore it from a copy: without it nothing else can be checked."
        if kind in (FaultKind.ROOT, FaultKind.METADATA):
            return "Repairing rewrites it."
        if kind == FaultKind.INDEX:
            return "Repairing drops the index; `softstore compact` makes it again."
        if not self._generated:
            return "Restore it from a copy, or make the corpus anew."
        if kind in _OF_A_SHARD and len(shards) == 1:
            return f"Repairing drops shard {shards[0]}, to be made again by what made the store."
        if kind in _OF_A_SHARD:
            return f"Repairing drops {len(shards)} shards, to be made again by what made the store."
        if kind == FaultKind.CODEC_ARRAY:
            return "Restore it from a copy, or generate into a new store."
        return "Generate into a new store."
