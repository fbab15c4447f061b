"""Clients that stream notes in real time and measure the latency of estimates."""

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
class Measurements:
    """Latencies and errors of all clients of a run.

    Attributes:
        after_sound_s: Latency of each estimate, from the time at which the chunk that
            completes it was due to be sent.
        after_window_s: Latency of each estimate, from the end of its window.
        behind_s: Delay of each chunk, from the time at which it was due: the client was
            busy, or the server did not read.
        n_streams: Number of streams that ended with a report.
        wrong: Estimates and reports that differ from the reference.
        broken: Reasons of the streams that ended without a report.
    """

    after_sound_s: list[float] = field(default_factory=list)
    after_window_s: list[float] = field(default_factory=list)
    behind_s: list[float] = field(default_factory=list)
    n_streams: int = 0
    wrong: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


async def stream_notes(
    url: str,
    notes: Sequence[Note],
    until: float,
    random_: random.Random,
    measured: Measurements,
) -> None:
    """Stream one note after another in real time, each on its own WebSocket.

    Args:
        url: URL of the streaming endpoint.
        notes: Notes, one of which is drawn for each stream.
        until: Time on the monotonic clock at which the current note is broken off.
        random_: Random generator that draws the notes and the start of the first.
        measured: Measurements of the run, updated in place.
    """
    # Starts are spread, so that windows do not end at the same time in all streams.
    await asyncio.sleep(random_.uniform(0, 4))
    while time.monotonic() < until:
        note = random_.choice(notes)
        try:
            # The client has no timeouts, so that only the server's take effect.
            async with connect(url, compression=None, ping_interval=None) as socket:
                await _stream_note(socket, note, until, measured)
        except (ConnectionClosed, OSError) as error:
            measured.broken.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(1)


async def _stream_note(
    socket: ClientConnection, note: Note, until: float, measured: Measurements
) -> None:
    begun = time.monotonic()
    receiving = asyncio.create_task(_receive(socket, note, begun, measured))
    for i, chunk in enumerate(note.chunks, 1):
        at = begun + i * note.chunk_s  # when a microphone would have filled it
        if at > until:
            break
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        measured.behind_s.append(time.monotonic() - at)
        await socket.send(chunk)
    await socket.send('{"type": "end"}')
    await receiving


async def _receive(
    socket: ClientConnection, note: Note, begun: float, measured: Measurements
) -> None:
    due = iter(note.due)
    async for text in socket:
        now = time.monotonic()
        message = json.loads(text)
        if message.pop("type") != "estimate":
            _check_end(message, next(due, None) is None, note, measured)
            continue
        expected = next(due, None)
        # The time at which it was sent depends on the load, so it is not compared.
        message["at_s"] = expected.line["at_s"] if expected else 0
        if expected is None or message != expected.line:
            measured.wrong.append(f"{message} came, {expected} was due")
            continue
        sent = begun + (expected.chunk + 1) * note.chunk_s
        measured.after_sound_s.append(now - sent)
        measured.after_window_s.append(now - begun - message["end_s"])


def _check_end(
    message: dict[str, Any], is_all: bool, note: Note, measured: Measurements
) -> None:
    report = message.get("report")
    if report is None:
        measured.broken.append(str(message))
        return
    measured.n_streams += 1
    if is_all and report["emotion"] != note.emotion:
        measured.wrong.append(f"report says {report['emotion']}, not {note.emotion}")
