"""What Python makes of many channels and of time stamps, for the goldens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.audio.channels import ChannelMixer
from espressivo.audio.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from espressivo.types import Signal

# A channel is a list of three parts, each [source, gain, delay in samples].
NOTE, NOISE, SILENCE = "note", "noise", "silence"
CASES: dict[str, tuple[int, list[list[tuple[str, float, int]]]]] = {
    "copies": (16_000, [[(NOTE, 1, 0)] * 3] * 2),
    "a quieter copy": (16_000, [[(NOTE, 1, 0)] * 3, [(NOTE, 0.25, 0)] * 3]),
    "inverted": (16_000, [[(NOTE, 1, 0)] * 3, [(NOTE, -1, 0)] * 3]),
    "inverted for a while": (
        16_000,
        [[(NOTE, 1, 0)] * 3, [(NOTE, 1, 0), (NOTE, -0.5, 0), (NOTE, 1, 0)]],
    ),
    "delayed by 1 ms": (16_000, [[(NOTE, 1, 0)] * 3, [(NOTE, 1, 16)] * 3]),
    "delayed by 25 ms": (16_000, [[(NOTE, 1, 0)] * 3, [(NOTE, 2, 400)] * 3]),
    "speech and noise": (16_000, [[(NOISE, 0.25, 0)] * 3, [(NOTE, 1, 0)] * 3]),
    "one is silent": (16_000, [[(SILENCE, 1, 0)] * 3, [(NOTE, 1, 0)] * 3]),
    "one is quiet": (16_000, [[(NOTE, 1, 0)] * 3, [(NOISE, 0.001, 0)] * 3]),
    "two take turns": (
        16_000,
        [
            [(NOTE, 1, 0), (SILENCE, 1, 0), (NOTE, 1, 0)],
            [(SILENCE, 1, 0), (NOTE, 1, 0), (NOISE, 0.01, 0)],
        ],
    ),
    "begins with silence": (
        16_000,
        [
            [(SILENCE, 1, 0), (NOTE, 1, 0), (NOTE, 1, 0)],
            [(SILENCE, 1, 0), (NOTE, -1, 0), (NOTE, -1, 0)],
        ],
    ),
    "noise in both": (16_000, [[(NOISE, 0.5, 0)] * 3, [(NOISE, 0.4, 7_000)] * 3]),
    "six, at 48 kHz": (
        48_000,
        [
            [(NOTE, 1, 0)] * 3,
            [(NOTE, -0.5, 3)] * 3,
            [(NOISE, 0.125, 0)] * 3,
            [(SILENCE, 1, 0)] * 3,
            [(NOTE, 0.5, 900)] * 3,
            [(NOTE, 1, 0), (SILENCE, 1, 0), (NOTE, 1, 0)],
        ],
    ),
    "at 22.05 kHz": (22_050, [[(NOTE, 1, 0)] * 3, [(NOISE, 0.5, 0)] * 3]),
    "at 8 kHz": (8_000, [[(NOTE, 1, 0)] * 3, [(NOTE, -1, 2)] * 3]),
    "at 40 kHz": (40_000, [[(NOTE, 1, 0)] * 3, [(NOTE, 1, 300)] * 3]),
}
LENGTH = 40_000  # samples of a part
STRIDE = 20_011  # samples of which one is kept


def channels(note: Signal, noise: Callable[[int, int], Signal]) -> list[dict[str, Any]]:
    """Return what becomes of each case, pushed in blocks of 1000 samples."""
    note = note[:LENGTH]
    sources = {
        NOTE: note,
        NOISE: noise(len(note), 1),
        SILENCE: np.zeros(len(note), np.float32),
    }
    found = []
    for name, (rate, recipe) in CASES.items():
        planes = np.stack(
            [
                np.concatenate(
                    [
                        np.roll(sources[source], delay) * np.float32(gain)
                        for source, gain, delay in parts
                    ]
                )
                for parts in recipe
            ]
        )
        mixer = ChannelMixer(len(planes), rate)
        blocks = np.split(planes, range(1000, planes.shape[1], 1000), axis=1)
        mono = np.concatenate([*map(mixer.push, blocks), mixer.finish()])
        found.append(
            {
                "name": name,
                "rate": rate,
                "recipe": recipe,
                "used": dict(mixer.used),
                "reasons": dict(mixer.reasons),
                "power": float(np.square(mono, dtype=np.float64).sum()),
                "kept": [round(float(x), 7) for x in mono[::STRIDE]],
            }
        )
    return found


def clocks() -> list[dict[str, Any]]:
    """Return random stamps and what the clock makes of them."""
    rng = np.random.default_rng(2)
    found = []
    for i in range(8):
        clock = Clock()
        stamp_s, steps = float(rng.choice([0, 0.05, 3, 3600])), []
        begin = [[0.0, None], [None, None], [0.0, 20.0], [stamp_s, 4000.0]][i % 4]
        clock.begin(*begin)
        for _ in range(12):
            length_s = float(rng.choice([0.02, 0.064, 1]))
            stamp = None if rng.random() < 0.1 else round(stamp_s, 6)
            placed = clock.place(stamp, length_s)
            steps.append([stamp, length_s, placed.silence_s, placed.skip_s])
            jump = rng.choice([-0.08, -0.07, 0.3, 5, -0.3, -4, 9e4, 0.05])
            stamp_s += length_s + (float(jump) if rng.random() < 0.5 else 0)
        found.append({"begin": begin, "steps": steps, "position_s": clock.position_s})
    return found
