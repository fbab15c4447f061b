"""Analysis of uploaded recordings in threads that take turns, by client."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from espressivo.errors import AudioError
from espressivo.serve.api.limits import RECORDINGS_SHARE
from espressivo.serve.api.refusals import (
    Reason,
    Refused,
)
from espressivo.serve.api.shares import Places, Turns, client_of
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
_BLOCK_S = 10.0  # between two turns


class Recordings:
    """Admission, upload and analysis of all recordings of a server.

    Args:
        analyzer: Analyzer shared by all requests.
        limits: Limits on number, size and duration.
        metrics: Counters to update.
    """

    def __init__(self, analyzer: Analyzer, limits: Limits, metrics: Metrics) -> None:
        self._analyzer, self._limits, self._metrics = analyzer, limits, metrics
        self._places = Places("recordings", limits.max_recordings, RECORDINGS_SHARE)
        self._turns = Turns(limits.max_analyses)
        # Most of the threads wait for their turn.
        self._pool = ThreadPoolExecutor(limits.max_recordings, "analyse", _give_way)
        self._cancelled: set[threading.Event] = set()  # one event per running analysis
        self._receiving: set[asyncio.Task[Upload]] = set()
        self._is_over = False

    @property
    def n_running(self) -> int:
        """Number of recordings being received, queued or analysed."""
        return self._metrics.running_analyses

    @contextmanager
    def admitted(self, request: Request) -> Iterator[None]:
        """Reserve a place in the queue before the recording is received.

        Raises:
            Refused: The queue is full, or has as many of this client as it may have.
        """
        with self._places.taken(client_of(request.scope)):
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
        client = client_of(request.scope)
        job = self._pool.submit(self._analyze, upload, client, decoding, cancelled)
        # The file is closed with the job, which can outlive a cancelled request.
        job.add_done_callback(lambda _: upload.file.close())
        gone = asyncio.create_task(_until_gone(request))
        try:
            done = asyncio.wrap_future(job)
            # Or asyncio logs the exception of an analysis that nobody waits for.
            done.add_done_callback(lambda d: d.cancelled() or d.exception())
            either: set[asyncio.Future[Any]] = {done, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                # Its place stays reserved until it has ended.
                self._cancel(cancelled)
                await asyncio.wait({done})
                return None
            report = await done
        except AudioError as error:
            too_long = error.kind == "too long"
            reason = Reason.TOO_LONG if too_long else Reason.UNREADABLE
            raise Refused(reason, str(error)) from error
        except (CancelledError, asyncio.CancelledError):
            self._cancel(cancelled)
            raise
        finally:
            gone.cancel()
            self._cancelled.discard(cancelled)
        self._metrics.analyzed("recording", report.duration_s)
        return report

    def _analyze(
        self,
        upload: Upload,
        client: str,
        decoding: Decoding,
        cancelled: threading.Event,
    ) -> Report:
        check = partial(_check, cancelled)
        with self._turns.turn(client, check) as turn, path_of(upload.file) as path:

            def progress(_now_s: float, _total_s: float | None) -> None:
                check()  # an exception ends the analysis between two blocks
                turn()

            return self._analyzer.analyze(
                path,
                name=upload.name,
                track=decoding.track,
                headerless=decoding.headerless,
                block_s=_BLOCK_S,
                progress=progress,
                max_duration_s=self._limits.max_duration_s,
            )

    def _cancel(self, cancelled: threading.Event) -> None:
        cancelled.set()
        self._turns.wake()

    def cancel(self) -> None:
        """Cancel all uploads and analyses; these end at their next block."""
        self._is_over = True
        for receiving in self._receiving:
            receiving.cancel()
        for cancelled in self._cancelled:
            self._cancel(cancelled)

    def close(self) -> None:
        """Shut down the threads after their current work."""
        self._pool.shutdown(cancel_futures=True)


def _check(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise _stopping()


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
