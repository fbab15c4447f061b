"""Stream over a WebSocket: receives PCM, sends estimates and a report.

One task reads the socket into a bounded backlog, another analyses the backlog in the
thread pool. While the backlog is full, the socket is not read, so that TCP makes the
client wait (backpressure).
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.websockets import WebSocketDisconnect

from espressivo.audio.pcm import PcmCheck
from espressivo.errors import AudioError
from espressivo.report import estimate_to_dict
from espressivo.serve.api.backlog import (
    Backlog,
    Chunk,
)
from espressivo.serve.api.limits import (
    AT_ONCE_BYTES,
    MAX_BACKLOG_BYTES,
)
from espressivo.serve.api.refusals import (
    Reason,
    Refused,
)
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from concurrent.futures import Executor

    from starlette.websockets import WebSocket

    from espressivo.model.classifier import ModelCard
    from espressivo.pipeline.stream import Stream
    from espressivo.serve.api.limits import Limits
    from espressivo.serve.api.metrics import Metrics

_BYTES_A_SAMPLE = 2


class StreamSession:
    """Session of one client and its stream.

    Args:
        socket: Accepted WebSocket.
        stream: New stream of the analyzer.
        card: Card of the stream's model.
        limits: Limits on duration, idle time and lag.
        metrics: Counters to update.
        pool: Thread pool for the analysis.
    """

    def __init__(
        self,
        socket: WebSocket,
        stream: Stream,
        card: ModelCard,
        *,
        limits: Limits,
        metrics: Metrics,
        pool: Executor,
    ) -> None:
        self._socket, self._stream, self._card = socket, stream, card
        self._limits, self._metrics, self._pool = limits, metrics, pool
        self._loop = asyncio.get_running_loop()
        self._backlog = Backlog(MAX_BACKLOG_BYTES, AT_ONCE_BYTES)
        # If set, the stream ends with a report of the audio received so far.
        self._ended_by: Refused | None = None
        self._reading = self._loop.create_task(self._read())

    def stop(self) -> None:
        """End the stream with a report, because the server is stopping."""
        self._end(Refused(Reason.STOPPING, "the server stops; here is the report"))
        self._reading.cancel()

    def drop(self) -> None:
        """End the stream at once, after the time for a graceful end has passed."""
        self._backlog.abandon(Refused(Reason.STOPPING, "the server stops"))

    async def run(self) -> None:
        """Serve the client until its stream ends.

        Raises:
            Refused: The stream ended early; the socket is already closed.
        """
        try:
            await self._work()
            if self._ended_by is None:
                await self._close(1000, "")
                return
            await self._close(self._ended_by.close_code, self._ended_by.close_reason)
            raise self._ended_by
        except Refused as refused:
            if refused is not self._ended_by:
                await self._refuse(refused)
            raise
        except WebSocketDisconnect:
            pass  # the client closed the connection
        finally:
            self._reading.cancel()
            self._metrics.analyzed("stream", self._stream.duration_s)

    async def _read(self) -> None:
        n_bytes = 0
        check = PcmCheck("send a recording with a header to /v1/analyze")
        most = self._limits.max_duration_s * SAMPLE_RATE * _BYTES_A_SAMPLE
        try:
            while not self._ended_by:
                await self._backlog.room()
                async with asyncio.timeout(self._limits.idle_s):
                    message = await self._socket.receive()
                if (pcm := _pcm_of(message, check)) is None:
                    self._backlog.end()
                    return
                n_bytes += len(pcm)
                if n_bytes > most:
                    text = (
                        f"the stream is longer than {self._limits.max_duration_s:g} s"
                    )
                    self._end(Refused(Reason.TOO_LONG, f"{text}; begin another"))
                else:
                    self._backlog.put(Chunk(time.monotonic(), pcm))
        except TimeoutError:
            text = f"nothing came for {self._limits.idle_s:g} s"
            self._end(Refused(Reason.IDLE, f"{text}; send sound, or the end"))
        except (Refused, WebSocketDisconnect) as error:
            self._backlog.abandon(error)

    def _end(self, why: Refused) -> None:
        self._ended_by = self._ended_by or why
        self._backlog.end()

    async def _work(self) -> None:
        while (sound := await self._backlog.get()) is not None:
            self._require_timely(sound.oldest_s)
            # In a thread, since inference would block the event loop.
            estimates = await self._loop.run_in_executor(
                self._pool, self._stream.push, np.frombuffer(sound.pcm, "<i2")
            )
            for estimate in estimates:
                self._metrics.estimated(time.monotonic() - sound.newest_s)
                now_s = self._stream.duration_s
                line = estimate_to_dict(estimate, self._card, now_s)
                await self._tell({"type": "estimate", **line})
        report = await self._loop.run_in_executor(self._pool, self._stream.finish)
        await self._tell({"type": "report", "report": report.to_dict()})

    def _require_timely(self, since_s: float) -> None:
        late_s = time.monotonic() - since_s
        if late_s > self._limits.max_lag_s:
            raise Refused(
                Reason.LAGGING, f"the server is {late_s:.0f} s behind; try again later"
            )

    async def _tell(self, what: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._socket.send_text(json.dumps(what, ensure_ascii=False))
        except TimeoutError as error:
            raise Refused(
                Reason.SLOW_CLIENT,
                f"estimates were not taken for {self._limits.send_s:g} s; read them",
            ) from error
        except RuntimeError as error:  # uvicorn closed the socket meanwhile
            raise WebSocketDisconnect from error

    async def _refuse(self, refused: Refused) -> None:
        if refused.reason is Reason.SLOW_CLIENT:
            return  # the client reads nothing; the connection ends with this session
        with suppress(Refused, WebSocketDisconnect):
            await self._tell({"type": "error", **refused.details})
        await self._close(refused.close_code, refused.close_reason)

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._socket.close(code, reason)
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            pass  # the client reads nothing, or closed the socket first


def _pcm_of(message: MutableMapping[str, Any], check: PcmCheck) -> bytes | None:
    """Return the PCM of a message; None for the message that ends the stream.

    Raises:
        Refused: The message is malformed.
        WebSocketDisconnect: The client closed the connection.
    """
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    pcm: bytes | None = message.get("bytes")
    if pcm is None:
        _require_end(message.get("text") or "")
        return None
    try:
        check.push(pcm)
    except AudioError as error:
        raise Refused(Reason.GARBAGE, str(error)) from error
    if len(pcm) % _BYTES_A_SAMPLE:
        raise Refused(
            Reason.GARBAGE,
            f"a message holds {len(pcm)} bytes, an odd number; send whole samples of "
            "16 bits",
        )
    return pcm


def _require_end(text: str) -> None:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(
            Reason.GARBAGE,
            'a text is no JSON; send sound as binary messages, and {"type": "end"}',
        ) from error
    if not isinstance(asked, dict) or asked.get("type") != "end":
        raise Refused(
            Reason.GARBAGE, 'a text asks for something unknown; only {"type": "end"} is'
        )
