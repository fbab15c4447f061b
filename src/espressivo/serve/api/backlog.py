"""Sound that a stream has received and not analysed yet, bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple


class Chunk(NamedTuple):
    """Sound that came in one message.

    Attributes:
        arrived_s: When, by the monotonic clock.
        pcm: 16 bit, little-endian.
    """

    arrived_s: float
    pcm: bytes


class Portion(NamedTuple):
    """Sound that is analysed at once: of several messages, or a part of one.

    Attributes:
        oldest_s: When the first of it arrived, by the monotonic clock.
        newest_s: When the last of it did.
        pcm: 16 bit, little-endian.
    """

    oldest_s: float
    newest_s: float
    pcm: bytes


class Backlog:
    """A queue between who reads a socket and who analyses, both of one event loop.

    Args:
        most: How many bytes it holds before `room` waits; the last chunk may exceed it.
        at_once: How many bytes `get` returns at most, an even number. So a stream that
            has much waiting takes turns with the others.
    """

    def __init__(self, most: int, at_once: int) -> None:
        self._most, self._at_once, self._n_bytes = most, at_once, 0
        self._chunks: deque[Chunk] = deque()
        self._has_ended = False
        self._error: Exception | None = None
        self._some, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until there is room; meanwhile nobody should read the socket."""
        await self._room.wait()

    def put(self, chunk: Chunk) -> None:
        """Add a chunk at the end."""
        self._chunks.append(chunk)
        self._n_bytes += len(chunk.pcm)
        if self._n_bytes >= self._most:
            self._room.clear()
        self._some.set()

    def end(self) -> None:
        """Let `get` return None after the last chunk."""
        self._has_ended = True
        self._some.set()

    def abandon(self, error: Exception) -> None:
        """Let `get` raise an error at once."""
        self._error = self._error or error
        self._some.set()

    async def get(self) -> Portion | None:
        """Return the oldest sound, when there is some; None after the last."""
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
