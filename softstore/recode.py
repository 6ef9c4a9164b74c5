"""Another store from a store: another codec or bound, without the teacher.

The new store is certified against what the old one decodes to at T = 1, softened to each temperature, for
there is nobody else to ask; its attributes list the stores that its posteriors went through, each with what
it had lost by its own certificate. The losses do not add up: KL has no triangle inequality.

Codecs of full support decode at every temperature to their own T = 1, softened. topk does not: its tail is
known at several temperatures, and only what decodes at T = 1, the tail spread evenly, is taken over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softstore.codecs import Codec, FittedToSample
from softstore.encoding import LOWEST_LOG_POSTERIOR
from softstore.errors import ConflictError, CorruptDataError, InvalidInputError
from softstore.filling import Summary, fill
from softstore.format import TARGETS, Attributes, Divergence, Generation
from softstore.progress import Progress, silent
from softstore.provenance import new_run
from softstore.publishing import CREATED_BY, check_chunks
from softstore.softening import CERTIFICATE_TEMPERATURES
from softstore.storage import Storage
from softstore.store import Store
from softstore.utterance import StoredUtterance


def recode(
    source: Store,
    storage: Storage,
    codec: Codec | FittedToSample,
    *,
    shard_frames: int | None = None,
    chunk_frames: int | None = None,
    command: Sequence[str] = ("softstore.recode",),
    progress: Progress = silent,
) -> Summary:
    """Store every utterance of the source that the new store does not have yet, in another way.

    Features, labels and manifest columns travel along. Run again, it goes on where it was stopped, and adds
    what the source has got since.

    Args:
        codec: as for `softstore.generate.generate`; fitted to a sample of what the source decodes to.
        shard_frames, chunk_frames: of a new store; None: the source's.
        command: what is recorded as having asked for this.

    Raises:
        ConflictError: the source is unfinished, or the store there was made otherwise.
        CorruptDataError: bytes of the source are missing or damaged.
        InvalidInputError: the new store is to lie in the source, or an utterance does not fit a shard.
    """
    if f"{storage.url}/".startswith(f"{source.url}/"):
        raise InvalidInputError(
            f"{storage.url} lies in the store that is to be recoded: choose another place."
        )
    wanted = recoded_attributes(source, shard_frames, chunk_frames)
    run = new_run(
        command=command,
        teacher=wanted.teacher.fingerprint if wanted.teacher else "",
        features=wanted.features,
        device="cpu",
        workers=0,
    )
    return fill(_Decoded(source), storage, codec, wanted, run=run, progress=progress)


def recoded_attributes(source: Store, shard_frames: int | None, chunk_frames: int | None) -> Attributes:
    """The attributes of a new store made from this one, without the codec's.

    Raises:
        ConflictError: the source is unfinished.
        CorruptDataError: its manifest is damaged.
        InvalidInputError: shards are not whole chunks.
    """
    theirs = source.attributes
    if not theirs.is_finished(sum(len(piece.shards) for piece in source.frames.pieces(["objects"]))):
        raise ConflictError(f"{source.url} is unfinished: run the command that makes it again first.")
    shard_frames = shard_frames or theirs.shard_frames
    chunk_frames = chunk_frames or theirs.chunk_frames
    check_chunks(shard_frames, chunk_frames)
    certificate = [Divergence(**dataclasses.asdict(kl)) for kl in source.certificate().kl]
    generation = Generation(
        codec=theirs.codec or {}, codec_arrays=theirs.codec_arrays, certificate=certificate
    )
    return Attributes(
        kind="soft_targets",
        frame_shift=theirs.frame_shift,
        shard_frames=shard_frames,
        chunk_frames=chunk_frames,
        class_count=theirs.class_count,
        tracks={name: spec for name, spec in theirs.tracks.items() if not name.startswith(f"{TARGETS}/")},
        certificate_temperatures=list(CERTIFICATE_TEMPERATURES),
        recoded_from=[*theirs.recoded_from, generation],
        teacher=theirs.teacher,
        features=theirs.features,
        corpus=theirs.corpus,
        created_by=CREATED_BY,
        class_names=theirs.class_names,
    )


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What a store decodes to: `softstore.posteriors.Posteriors`."""

    collection: Store
    batch_frames: int = 1

    def log_posteriors_of(self, utterances: Sequence[StoredUtterance]) -> list[Tensor]:
        return [self.log_posteriors(utterance) for utterance in utterances]

    def log_posteriors(self, utterance: StoredUtterance) -> Tensor:
        """log p at T = 1, normalised: shape (frames, classes), float32.

        Raises:
            CorruptDataError: bytes are missing or damaged, or decode to something that is not finite.
        """
        found = torch.from_numpy(utterance.log_posteriors())
        if not bool(found.isfinite().all()):
            raise CorruptDataError(
                f"Utterance {utterance.utterance_id!r} of {self.collection.url} does not decode to "
                "probabilities: run `softstore verify` there."
            )
        return found.clamp_min_(LOWEST_LOG_POSTERIOR)
