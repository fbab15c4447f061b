"""Sound that a stream has received and not analysed yet, bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple


class Chunk(NamedTuple):
    """Sound of one message.

    Attributes:
        arrived_s: When, by the event loop's clock.
        pcm: 16 bit, little-endian.
    """

    arrived_s: float
    pcm: bytes


class Backlog:
    """A queue between who reads a socket and who analyses, both of one event loop.

    Args:
        most: How many bytes it holds before `room` waits; the last chunk may exceed it.
    """

    def __init__(self, most: int) -> None:
        self._most, self._n_bytes = most, 0
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

    async def get(self) -> Chunk | None:
        """Return the oldest chunk, when there is one; None after the last."""
        while not (self._chunks or self._has_ended or self._error):
            self._some.clear()
            await self._some.wait()
        if self._error is not None:
            raise self._error
        if not self._chunks:
            return None
        chunk = self._chunks.popleft()
        self._n_bytes -= len(chunk.pcm)
        if self._n_bytes < self._most:
            self._room.set()
        return chunk
