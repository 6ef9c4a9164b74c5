"""Shards made by the workers of a Dask cluster: a local one, or one that is there already.

Workers read the corpus and write the store by URL, and load the teacher by its name, each once. Only tasks
(manifest rows of a shard's utterances) and receipts go through the scheduler. A worker that dies has its
tasks done elsewhere; whatever it had begun to publish is harmless (`softstore.commit`).
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch

from softstore.codec_arrays import read_codec_arrays
from softstore.codecs import codec_from_config
from softstore.corpus import Corpus
from softstore.errors import ConflictError, MissingDependencyError, SoftstoreError
from softstore.inference import Inference
from softstore.parts import read_attributes
from softstore.processors import usable_processors
from softstore.shard_maker import OnError, Receipt, ShardMaker
from softstore.storage import open_storage
from softstore.tasks import ShardTask
from softstore.teacher import Stored, load_teacher
from softstore.writer import Writer

if TYPE_CHECKING:
    from distributed import Client, Future

_WAITING = 2
"""Tasks a thread of the cluster: one that it works at, and the next."""

_DEATHS = 10
"""A task at which so many times workers died is taken for the cause."""

_CONNECT_SECONDS = 10
"""How long a scheduler is looked for."""

_JOIN_SECONDS = 60
"""How long a scheduler without workers is waited for."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know, besides its tasks.

    Attributes:
        corpus, store: URLs.
        teacher: as for `softstore.teacher.load_teacher`.
        fingerprint: of the teacher that was meant.
        batch_frames: of several utterances in one forward pass.
    """

    corpus: str
    store: str
    teacher: str
    fingerprint: str
    device: str
    batch_frames: int
    on_error: OnError
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """Of one run: what workers opened for another may have been replaced since."""


class DaskCrew:
    """Workers of a Dask cluster; use it in a ``with`` statement.

    Args:
        workers: processes of a cluster that is started here when there is something to do …
        scheduler: … or the address of one that is there, such as ``tcp://10.0.0.1:8786``.

    Raises:
        MissingDependencyError: Dask is not installed.
        SoftstoreError: there is no scheduler at that address, or no worker joins it.
    """

    def __init__(self, job: Job, *, workers: int | None = None, scheduler: str | None = None) -> None:
        self._job = job
        self._wanted = workers or 1
        self._scheduler = scheduler
        self._client: Client | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        try:
            import distributed  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "Workers need Dask, which is not installed: pip install 'softstore[cluster]'."
            ) from error
        with ExitStack() as stack:
            stack.enter_context(_quiet())
            if self._scheduler is not None:
                self._client = stack.enter_context(_connected(self._scheduler))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self._client = None

    @property
    def workers(self) -> int:
        if self._client is None:
            return self._wanted
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    @property
    def dashboard(self) -> str | None:
        return self._client.dashboard_link if self._client is not None and _has_dashboard() else None

    def make(self, tasks: Iterator[ShardTask], encoded: Callable[[int], None]) -> Iterator[Receipt]:
        """As `softstore.shard_maker.ShardMaker.make`, in the order in which shards are finished.

        Raises:
            SoftstoreError: the scheduler went away, workers keep dying at one task, or one raised.
        """
        from distributed import as_completed

        client = self._client = self._client or self._started()
        submitted: dict[Any, tuple[ShardTask, int]] = {}
        stream = as_completed(loop=client.loop)
        try:
            self._submit(client, tasks, submitted, stream)
            for future in stream:
                task, deaths = submitted.pop(future.key)
                receipt = self._receipt(client, future, task, deaths)
                if receipt is None:
                    again = client.submit(make_shard, self._job, task, pure=False)
                    submitted[again.key] = task, deaths + 1
                    stream.add(again)
                    continue
                encoded(receipt.frames)
                yield receipt
                future.release()
                self._submit(client, tasks, submitted, stream)
        except OSError as error:
            raise self._gone() from error
        finally:
            for future in list(getattr(stream, "futures", ())):
                future.cancel()

    def _submit(
        self,
        client: Client,
        tasks: Iterator[ShardTask],
        submitted: dict[Any, tuple[ShardTask, int]],
        stream: Any,
    ) -> None:
        """Keep every thread of the cluster busy, and a task waiting for it; workers may come and go."""
        threads = max(sum(client.nthreads().values()), 1)
        while len(submitted) < _WAITING * threads:
            task = next(tasks, None)
            if task is None:
                return
            future = client.submit(make_shard, self._job, task, pure=False)
            submitted[future.key] = task, 0
            stream.add(future)

    def _receipt(self, client: Client, future: Future[Any], task: ShardTask, deaths: int) -> Receipt | None:
        """What came of a task; None if its workers died."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            receipt: Receipt = future.result()
        except SoftstoreError:
            raise
        except KilledWorker as error:
            if deaths < _DEATHS:
                return None
            first = task.rows["utterance_id"][0].as_py()
            raise SoftstoreError(
                f"Workers died again and again at shard {task.shard}, whose first utterance is {first!r}: "
                "see their logs; perhaps they need more memory."
            ) from error
        except (CancelledError, OSError) as error:
            raise self._gone() from error
        except Exception as error:
            raise SoftstoreError(
                f"A worker failed with {type(error).__name__}: {error}. Install the same softstore, and what "
                "the teacher needs, on all workers."
            ) from error
        return receipt

    def _started(self) -> Client:
        import dask
        from distributed import Client, LocalCluster

        cores = usable_processors()
        dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS})
        cluster = LocalCluster(
            n_workers=self._wanted,
            threads_per_worker=max(cores // self._wanted, 1),
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            # In a terminal Ctrl-C reaches them, too; what comes of it is for this process to say.
            preload="import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
        )
        self._open.enter_context(cluster)
        client = Client(cluster)
        self._open.enter_context(client)
        return client

    def _gone(self) -> SoftstoreError:
        where = self._scheduler or "here"
        return SoftstoreError(f"The Dask scheduler at {where} went away: run this again to go on.")


def make_shard(job: Job, task: ShardTask) -> Receipt:
    """What a worker does with a task."""
    return next(_maker(job).make([task]))


_opening = threading.Lock()


def _maker(job: Job) -> ShardMaker[Any]:
    # Threads that come at the same time must not each load the teacher.
    with _opening:
        return _opened(job)


@lru_cache(maxsize=1)
def _opened(job: Job) -> ShardMaker[Any]:
    teacher = load_teacher(job.teacher, device=job.device)
    # To fingerprint stored matrices is to read them all.
    if not isinstance(teacher, Stored) and teacher.fingerprint != job.fingerprint:
        raise ConflictError(
            f"A worker finds another teacher at {job.teacher} (fingerprint {teacher.fingerprint}, not "
            f"{job.fingerprint}): give all workers the same."
        )
    # Now and not task by task, of which several may run here at the same time.
    torch.set_num_threads(1)
    storage = open_storage(job.store, writable=True)
    attributes = read_attributes(storage)
    codec = codec_from_config(attributes.codec or {}, read_codec_arrays(storage, attributes))
    source = Inference(Corpus.open(job.corpus), teacher, job.batch_frames)
    return ShardMaker(source, Writer(storage, attributes), codec, job.on_error, threads=1)


def _connected(scheduler: str) -> Client:
    from distributed import Client

    try:
        client = Client(scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise SoftstoreError(
            f"There is no Dask scheduler at {scheduler}: start one with `dask scheduler`, or correct the "
            "address."
        ) from error
    try:
        client.wait_for_workers(1, timeout=_JOIN_SECONDS)
    except TimeoutError as error:
        client.close()
        raise SoftstoreError(
            f"No worker has joined the scheduler at {scheduler}: start some with `dask worker {scheduler}`."
        ) from error
    return client


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's log has tracebacks of what is an error of one sentence here."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _has_dashboard() -> bool:
    from importlib.util import find_spec

    return find_spec("bokeh") is not None
