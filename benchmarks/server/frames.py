"""Random WebSocket messages and frames, and the close codes that may answer them."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.server.wire import HANDSHAKE, exchange

if TYPE_CHECKING:
    import random

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_END = b'{"type": "end"}'
_LARGEST = 320_000  # bytes of a message
_MOST_FRAMES = 1000  # of a message


class Step(NamedTuple):
    """Frames to send, and the close codes that can answer them; none: it goes on."""

    frames: bytes
    codes: frozenset[int]


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, bits: int = 0
) -> bytes:
    """Return a masked frame; a zero mask leaves the payload unchanged."""
    first = bits | opcode | (0x80 if fin else 0)
    n = len(payload)
    if n < 126:
        head = struct.pack("!BB", first, 0x80 | n)
    elif n < 2**16:
        head = struct.pack("!BBH", first, 0xFE, n)
    else:
        head = struct.pack("!BBQ", first, 0xFF, n)
    return head + bytes(4) + payload


def session(random_: random.Random) -> tuple[bytes, frozenset[int]]:
    """Return the frames of one stream, and the close codes that may end it.

    Several codes may, since a batch of frames is read before the first is acted upon.
    """
    steps = [_step(random_) for _ in range(random_.randint(0, 8))]
    frames = b"".join(step.frames for step in steps) + _closing(1000)
    return frames, frozenset({1000}).union(*(step.codes for step in steps))


def run(url: str, random_: random.Random) -> str:
    """Send one random stream; return "" if it was answered as it may be, else how."""
    frames, codes = session(random_)
    came = exchange(url, HANDSHAKE + b"\r\n", frames)
    head, _, rest = came.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        return "" if not head else f"no stream: {head[:80]!r}"
    code = None
    for opcode, payload in _frames_of(rest):
        if code is not None and opcode not in (_PING, _PONG):
            return f"a frame of opcode {opcode} after the close"
        if opcode == _TEXT:
            told = json.loads(payload)["type"]
            if told not in ("estimate", "report", "error"):
                return f"a text of type {told}"
        elif opcode == _CLOSE:
            code = struct.unpack("!H", payload[:2])[0] if payload else 1005
        elif opcode not in (_PING, _PONG):
            return f"a frame of opcode {opcode}"
    # A server that closes before it has read everything may be cut off with its code.
    if code is not None and code not in codes:
        return f"closed with {code}, not one of {sorted(codes)}, after {frames[:80]!r}"
    return ""


def _closing(code: int, reason: bytes = b"") -> bytes:
    return frame(_CLOSE, struct.pack("!H", code) + reason)


def _step(random_: random.Random) -> Step:
    make = random_.choice((_sound, _sound, _text, _broken, _control, _close))
    frames, *codes = make(random_)
    return Step(frames, frozenset(codes))


def _sound(random_: random.Random) -> tuple[Any, ...]:
    """Return a message of sound, whole or in pieces, or of what is none."""
    n = random_.choice((0, 1, 160, 3200, _LARGEST // 2)) * 2
    pcm = bytes((random_.randrange(8),)) * n  # or a text, it seems
    middle = random_.randint(0, n)
    pieces = [pcm[:middle], pcm[middle:]]
    many = frame(_BINARY, fin=False) + frame(_CONTINUATION, fin=False) * _MOST_FRAMES
    return random_.choice(
        (
            (frame(_BINARY, pcm),),
            (
                frame(_BINARY, pieces[0], fin=False)
                + frame(_PING, b"between")
                + frame(_CONTINUATION, pieces[1]),
            ),
            (frame(_BINARY, pcm[:3199] + b"x"), 1007),
            (frame(_BINARY, bytes(_LARGEST + 2)), 1009),
            (frame(_BINARY, b"RIFF" + bytes(40)), 1007),
            (many, 1002, 1009),
            (frame(_BINARY, pcm, fin=False), 1002, 1009),  # another follows within it
        )
    )


def _text(random_: random.Random) -> tuple[Any, ...]:
    content = random_.choice(
        (b"", b"{", b"[" * 100_000, b"null", b'{"type": "begin"}', b'{"type": NaN}')
    )
    return random_.choice(
        (
            (frame(_TEXT, _END), 1000),
            (frame(_TEXT, _END[:5], fin=False) + frame(_CONTINUATION, _END[5:]), 1000),
            (frame(_TEXT, content), 1007),
            (frame(_TEXT, b"\xff" + _END), 1007),
            (frame(_TEXT, bytes(_LARGEST + 1)), 1009),
        )
    )


def _broken(random_: random.Random) -> tuple[Any, ...]:
    opcode = random_.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15))
    bits = random_.choice((0x10, 0x20, 0x40, 0x70))
    return random_.choice(
        (
            (frame(opcode, b"ab"), 1002),
            (frame(_BINARY, b"ab", bits=bits), 1002),
            (frame(_CONTINUATION, b"ab"), 1002),
            (b"\x82\x02ab", 1002),  # no mask
            (b"\x82\xff" + b"\x7f" + b"\xff" * 7 + bytes(4), 1009),
            (b"\x82\xff" + b"\xff" * 8 + bytes(4), 1002, 1009),
        )
    )


def _control(random_: random.Random) -> tuple[Any, ...]:
    opcode = random_.choice((_PING, _PONG))
    return random_.choice(
        (
            (frame(opcode, random_.randbytes(random_.randint(0, 125))) * 10,),
            (frame(opcode, bytes(126)), 1002),
            (frame(opcode, b"x", fin=False), 1002),
        )
    )


def _close(random_: random.Random) -> tuple[Any, ...]:
    good = random_.choice((1000, 1001, 1003, 1007, 1009, 1011, 3000, 4999))
    bad = random_.choice((0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535))
    return random_.choice(
        (
            (_closing(good, b"bye"), good),
            (_closing(bad), 1002),
            (_closing(good, b"\xff"), 1007),
            (frame(_CLOSE), 1005),
            (frame(_CLOSE, b"x"), 1002),
        )
    )


def _frames_of(content: bytes) -> list[tuple[int, bytes]]:
    """Return opcode and payload of the server's frames; the last may be cut."""
    frames = []
    while len(content) >= 2:
        n, at = content[1], 2
        if n == 126:
            n, at = int.from_bytes(content[2:4], "big"), 4
        elif n == 127:
            n, at = int.from_bytes(content[2:10], "big"), 10
        if len(content) < at + n:
            break
        frames.append((content[0] & 15, content[at : at + n]))
        content = content[at + n :]
    return frames
