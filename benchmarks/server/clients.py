"""Clients that speak in real time, and measure how long they wait for an estimate."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from benchmarks.server.notes import Note


@dataclass(slots=True)
class Heard:
    """What all clients of a run heard.

    Attributes:
        after_sound_s: Of each estimate, the time since the chunk that completes it was
            due to be sent.
        after_window_s: The time since its window had ended.
        behind_s: Of each chunk, how late it was sent: the clients' own fault, or the
            server's, if it does not read.
        n_streams: Streams that ended with their report.
        wrong: Estimates or reports that are not what they have to be.
        broken: Streams that ended otherwise, and why.
    """

    after_sound_s: list[float] = field(default_factory=list)
    after_window_s: list[float] = field(default_factory=list)
    behind_s: list[float] = field(default_factory=list)
    n_streams: int = 0
    wrong: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


async def speak(
    url: str, notes: Sequence[Note], until: float, random_: random.Random, heard: Heard
) -> None:
    """Be a client that says note after note, each as a stream of its own.

    Args:
        url: Of the streams.
        notes: To choose from.
        until: When to begin no other note and to break off this one, by the monotonic
            clock.
        random_: Decides which notes, and when the first begins.
        heard: Told all.
    """
    await asyncio.sleep(random_.uniform(0, 4))
    while time.monotonic() < until:
        note = random_.choice(notes)
        try:
            # No limits of ours: it is the server that is measured.
            async with connect(url, compression=None, ping_interval=None) as socket:
                await _say(socket, note, until, heard)
        except (ConnectionClosed, OSError) as error:
            heard.broken.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(1)


async def _say(
    socket: ClientConnection, note: Note, until: float, heard: Heard
) -> None:
    begun = time.monotonic()
    listening = asyncio.create_task(_listen(socket, note, begun, heard))
    for i, chunk in enumerate(note.chunks, 1):
        at = begun + i * note.chunk_s  # when a microphone would have filled it
        if at > until:
            break
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        heard.behind_s.append(time.monotonic() - at)
        await socket.send(chunk)
    await socket.send('{"type": "end"}')
    await listening


async def _listen(
    socket: ClientConnection, note: Note, begun: float, heard: Heard
) -> None:
    due = iter(note.due)
    async for text in socket:
        now = time.monotonic()
        message = json.loads(text)
        if message.pop("type") != "estimate":
            _check_end(message, next(due, None) is None, note, heard)
            continue
        expected = next(due, None)
        message["at_s"] = expected.line["at_s"] if expected else 0  # when it was told
        if expected is None or message != expected.line:
            heard.wrong.append(f"{message} came, {expected} was due")
            continue
        sent = begun + (expected.chunk + 1) * note.chunk_s
        heard.after_sound_s.append(now - sent)
        heard.after_window_s.append(now - begun - message["end_s"])


def _check_end(message: dict[str, Any], is_all: bool, note: Note, heard: Heard) -> None:
    report = message.get("report")
    if report is None:
        heard.broken.append(str(message))
        return
    heard.n_streams += 1
    if is_all and report["emotion"] != note.emotion:
        heard.wrong.append(f"report says {report['emotion']}, not {note.emotion}")
