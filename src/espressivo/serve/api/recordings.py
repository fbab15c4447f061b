"""Analysis of uploaded recordings in a thread pool with a bounded queue."""

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
    from espressivo.serve.api.queries import Decoding
    from espressivo.serve.api.uploads import Upload

_RETRY_S = 5.0
_NICENESS = 10


class Recordings:
    """Admission, upload and analysis of all recordings of a server.

    Args:
        analyzer: Analyzer shared by all requests.
        limits: Limits on number, size and duration.
        metrics: Counters to update.
    """

    def __init__(self, analyzer: Analyzer, limits: Limits, metrics: Metrics) -> None:
        self._analyzer, self._limits, self._metrics = analyzer, limits, metrics
        self._pool = ThreadPoolExecutor(limits.max_analyses, "analyse", _give_way)
        self._cancelled: set[threading.Event] = set()  # one event per running analysis
        self._receiving: set[asyncio.Task[Upload]] = set()
        self._is_over = False

    @property
    def n_running(self) -> int:
        """Number of recordings being received, queued or analysed."""
        return self._metrics.running_analyses

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Reserve a place in the queue before the recording is received.

        Raises:
            Refused: The queue is full.
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
        """Receive the recording in a request.

        Raises:
            Refused: The recording is too large or arrives too slowly, or the server is
                stopping.
            ClientDisconnect: The client closed the connection.
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

    async def analyze(
        self, upload: Upload, request: Request, decoding: Decoding
    ) -> Report | None:
        """Return the report of a recording; None if the client disconnected.

        Args:
            upload: The recording; it is closed in any case.
            request: The request, whose body has been received completely.
            decoding: Its track, and its format if it has no header.

        Raises:
            Refused: The recording is unreadable or too long, or the server is stopping.
        """
        cancelled = threading.Event()
        self._cancelled.add(cancelled)
        job = self._pool.submit(self._analyze, upload, decoding, cancelled)
        # The file is closed with the job, which can outlive a cancelled request.
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
        """Cancel an analysis and wait for its end, so that its place stays reserved."""
        cancelled.set()
        if not job.cancel():
            await asyncio.wait({asyncio.wrap_future(job)})

    def _analyze(
        self, upload: Upload, decoding: Decoding, cancelled: threading.Event
    ) -> Report:
        most = self._limits.max_duration_s

        # An exception in the callback ends the analysis between two blocks. The limit
        # applies to the decoded duration, since headers can be wrong.
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
            return self._analyzer.analyze(
                path,
                name=upload.name,
                track=decoding.track,
                headerless=decoding.headerless,
                progress=progress,
            )

    def cancel(self) -> None:
        """Cancel all uploads and analyses; these end at their next block."""
        self._is_over = True
        for receiving in self._receiving:
            receiving.cancel()
        for cancelled in self._cancelled:
            cancelled.set()

    def close(self) -> None:
        """Shut down the threads after their current work."""
        self._pool.shutdown(cancel_futures=True)


def _stopping() -> Refused:
    return Refused(Reason.STOPPING, "the server stops; send it again", _RETRY_S)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _give_way() -> None:
    """Lower the priority of this thread and its children below that of streams."""
    if sys.platform == "linux":  # elsewhere, priorities apply to whole processes
        with suppress(OSError):  # a sandbox may forbid it
            thread = threading.get_native_id()
            before = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, before + _NICENESS)
