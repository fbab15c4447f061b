"""Recordings, analysed in threads; so many at once, so many waiting, no more."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from espressivo.errors import AudioError
from espressivo.serve.api.refusals import (
    Reason,
    Refused,
)
from espressivo.serve.api.uploads import (
    path_of,
    receive_upload,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from espressivo.analyzer import Analyzer
    from espressivo.report import Report
    from espressivo.serve.api.limits import Limits
    from espressivo.serve.api.metrics import Metrics
    from espressivo.serve.api.uploads import Upload

_RETRY_S = 5.0
_NICENESS = 10


class Recordings:
    """All analyses of recordings that a server runs.

    Args:
        analyzer: Shared by all.
        limits: How many, and how long.
        metrics: Told what was analysed.
    """

    def __init__(self, analyzer: Analyzer, limits: Limits, metrics: Metrics) -> None:
        self._analyzer, self._limits, self._metrics = analyzer, limits, metrics
        self._pool = ThreadPoolExecutor(limits.max_analyses, "analyse", _give_way)
        self._cancelled: set[threading.Event] = set()  # one of each that runs
        self._receiving: set[asyncio.Task[Upload]] = set()
        self._is_over = False

    @property
    def n_running(self) -> int:
        """How many recordings are received, wait or are analysed."""
        return self._metrics.running_analyses

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Take a place, before a byte of the recording is received.

        Raises:
            Refused: There is none.
        """
        if self.n_running >= self._limits.max_analyses + self._limits.max_waiting:
            raise Refused(
                Reason.BUSY, "the server analyses all it can; try again later", _RETRY_S
            )
        self._metrics.running_analyses += 1
        try:
            yield
        finally:
            self._metrics.running_analyses -= 1

    async def receive(self, request: Request) -> Upload:
        """Receive a recording.

        Raises:
            Refused: It is too large or too slow, or the server stops.
            ClientDisconnect: The client has gone.
        """
        receiving = asyncio.create_task(receive_upload(request, self._limits))
        self._receiving.add(receiving)
        try:
            return await receiving
        except asyncio.CancelledError:
            if self._is_over:
                raise _stopping() from None
            raise
        finally:
            self._receiving.discard(receiving)

    async def analyze(self, upload: Upload, request: Request) -> Report | None:
        """Analyse a recording; None if the client has gone meanwhile.

        Args:
            upload: Is closed in any case.
            request: All of which was received.

        Raises:
            Refused: It is no recording, too long, or the server stops.
        """
        cancelled = threading.Event()
        self._cancelled.add(cancelled)
        job = self._pool.submit(self._analyze, upload, cancelled)
        job.add_done_callback(lambda _: upload.file.close())
        gone = asyncio.create_task(_until_gone(request))
        try:
            done = asyncio.wrap_future(job)
            either: set[asyncio.Future[Any]] = {done, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                await self._give_up(job, cancelled)
                return None
            report = await done
        except AudioError as error:
            raise Refused(Reason.UNREADABLE, str(error)) from error
        except (CancelledError, asyncio.CancelledError):
            cancelled.set()
            raise
        finally:
            gone.cancel()
            self._cancelled.discard(cancelled)
        self._metrics.analyzed("recording", report.duration_s)
        return report

    async def _give_up(self, job: Future[Report], cancelled: threading.Event) -> None:
        """End an analysis that nobody waits for; its place is taken until it ended."""
        cancelled.set()
        if not job.cancel():
            await asyncio.wait({asyncio.wrap_future(job)})

    def _analyze(self, upload: Upload, cancelled: threading.Event) -> Report:
        most = self._limits.max_duration_s

        def progress(now_s: float, _total_s: float | None) -> None:
            if cancelled.is_set():
                raise _stopping()
            if now_s > most:
                raise Refused(
                    Reason.TOO_LONG,
                    f"{upload.name}: is longer than the {most:g} s that this server "
                    "takes; cut it",
                )

        with path_of(upload.file) as path:
            return self._analyzer.analyze(path, name=upload.name, progress=progress)

    def cancel(self) -> None:
        """End all that runs, soon."""
        self._is_over = True
        for receiving in self._receiving:
            receiving.cancel()
        for cancelled in self._cancelled:
            cancelled.set()

    def close(self) -> None:
        """End the threads, when they have ended their work."""
        self._pool.shutdown(cancel_futures=True)


def _stopping() -> Refused:
    return Refused(Reason.STOPPING, "the server stops; send it again", _RETRY_S)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _give_way() -> None:
    """Let this thread, and those it starts, have what streams leave of the cores."""
    if sys.platform == "linux":  # elsewhere a priority is of the whole process
        with suppress(OSError):  # a sandbox may forbid it
            thread = threading.get_native_id()
            before = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, before + _NICENESS)
