"""Bounded queue of a stream's received audio (backpressure)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple


class Chunk(NamedTuple):
    """Audio of one message.

    Attributes:
        arrived_s: Time of arrival on the monotonic clock, in seconds.
        pcm: Samples, 16 bit, little-endian.
    """

    arrived_s: float
    pcm: bytes


class Portion(NamedTuple):
    """Audio that is analysed in one step: several messages, or part of one.

    Attributes:
        oldest_s: Time of arrival of the first sample, on the monotonic clock.
        newest_s: Time of arrival of the last sample, on the monotonic clock.
        pcm: Samples, 16 bit, little-endian.
    """

    oldest_s: float
    newest_s: float
    pcm: bytes


class Backlog:
    """Queue between the reading and the analysing task of one event loop.

    Args:
        most: Size in bytes from which `room` waits; the last chunk can exceed it.
        at_once: Largest number of bytes that `get` returns, even. It makes streams with
            a long backlog take turns with the others.
    """

    def __init__(self, most: int, at_once: int) -> None:
        self._most, self._at_once, self._n_bytes = most, at_once, 0
        self._chunks: deque[Chunk] = deque()
        self._has_ended = False
        self._error: Exception | None = None
        self._some, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until there is room; the caller does not read the socket meanwhile."""
        await self._room.wait()

    def put(self, chunk: Chunk) -> None:
        """Add a chunk at the end."""
        self._chunks.append(chunk)
        self._n_bytes += len(chunk.pcm)
        if self._n_bytes >= self._most:
            self._room.clear()
        self._some.set()

    def end(self) -> None:
        """Mark the end: `get` returns None after the last chunk."""
        self._has_ended = True
        self._some.set()

    def abandon(self, error: Exception) -> None:
        """Make `get` raise an error at once, without the remaining chunks."""
        self._error = self._error or error
        self._some.set()

    async def get(self) -> Portion | None:
        """Wait for audio and return the oldest; None after the last chunk."""
        while not (self._chunks or self._has_ended or self._error):
            self._some.clear()
            await self._some.wait()
        if self._error is not None:
            raise self._error
        if not self._chunks:
            return None
        taken = self._take()
        if self._n_bytes < self._most:
            self._room.set()
        return taken

    def _take(self) -> Portion:
        oldest_s = newest_s = self._chunks[0].arrived_s
        parts: list[bytes] = []
        n_left = self._at_once
        while self._chunks and n_left > 0:
            newest_s, pcm = self._chunks.popleft()
            if len(pcm) > n_left:
                self._chunks.appendleft(Chunk(newest_s, pcm[n_left:]))
                pcm = pcm[:n_left]
            n_left -= len(pcm)
            parts.append(pcm)
        self._n_bytes -= self._at_once - n_left
        return Portion(oldest_s, newest_s, b"".join(parts))
