"""One plain sentence on how the voice sounds over the course of a recording.

`web/src/espressivo/summary.ts` gives the same sentences; both are tested against
`tests/summaries.json`. All arithmetic is on integers (samples, and ten-thousandths), so
that the two agree exactly. It cannot overflow the 53 bits of JavaScript in a year.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.text import to_clock
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.types import Segment

_UNIT = 10_000  # costs are in ten-thousandths of arousal or probability
_LEVELS = ("calm", "even", "animated")
_LOW, _HIGH = 4_000, 6_000  # "even" is from here to there; 5,000 is the neutral arousal
_CAP = 1_000  # largest cost of a window, so that an outlier counts like any other
_CONTRAST = 1_000  # by which two phases must differ: see `_is_weak`
_NEAR = 500  # cost up to which a window agrees with the others
# A phase must be this long, and this part of the speech (a twentieth): longer than a
# window, so that one window does not make a story.
_PHASE, _PART = 10 * SAMPLE_RATE, 20
_MOST_PHASES = 3

Costs = tuple[int, ...]


def summarize(
    spans: Sequence[Segment],
    emotions: Sequence[str],
    probabilities: Sequence[Sequence[float]],
    uncertain: Sequence[bool | None],
    *,
    arousal: Sequence[float] | None = None,
    duration_s: float,
    from_s: float = 0.0,
) -> str | None:
    """Return a sentence such as `Calm at first, animated from 2:10.`; None: no windows.

    With arousal, the phases are calm (below 0.4), even, and animated (above 0.6);
    without, they are the emotions. They are those of the cheapest path (Viterbi, 1967):
    a window costs its duration times its distance from the phase's range, 0.1 at most,
    and each change of phase costs as much as 10 s at this distance, or a twentieth of
    the speech; it is doubled until neighbouring phases differ by about 0.1. Recordings
    of more than three phases are described by shares.

    Args:
        spans: Spans of the windows, in order.
        emotions: Emotions in the order of the probabilities.
        probabilities: Probabilities of each window.
        uncertain: Whether each window is uncertain; None: the model has no threshold.
        arousal: Arousal of each window, 0 to 1; None: the model has none.
        duration_s: Duration of the recording, in seconds.
        from_s: Start of what the windows describe, in seconds. It is above 0 in long
            streams, of whose older windows only sums are known.
    """
    if not spans:
        return None
    weights = [span.n_samples for span in spans]
    unclear = sum(n for n, is_so in zip(weights, uncertain, strict=True) if is_so)
    is_unclear = 2 * unclear > sum(weights)
    if arousal is not None:
        names: Sequence[str] = _LEVELS
        rows = [_level_costs(_units(value)) for value in arousal]
        clear = [True] * len(rows)
    else:
        names = emotions
        rows = [_emotion_costs([_units(p) for p in row]) for row in probabilities]
        clear = [not is_so for is_so in uncertain]
    if arousal is None and is_unclear:
        sentence = "not sure: no emotion stands out most of the time"
    else:
        sentence = _story(spans, names, rows, clear, duration_s)
    if arousal is not None and is_unclear:
        sentence += "; the emotion is not clear"
    if from_s > 0:
        sentence = f"from {to_clock(int(from_s))} on: {sentence}"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _story(
    spans: Sequence[Segment],
    names: Sequence[str],
    rows: Sequence[Costs],
    clear: Sequence[bool],
    duration_s: float,
) -> str:
    weights = [span.n_samples for span in spans]
    path = _clear_path(rows, weights)
    starts = [i for i in range(len(path)) if i == 0 or path[i] != path[i - 1]]
    if not 1 < len(starts) <= _MOST_PHASES:
        state = path[0] if len(starts) == 1 else None
        return _shares(names, rows, weights, clear, state)
    parts = [f"{names[path[0]]} at first"]
    for i in starts[1:]:
        name = names[path[i]]
        start_s = spans[i].start // SAMPLE_RATE
        if i == starts[-1] and path[i] == path[0]:
            late = 4 * start_s >= 3 * duration_s
            parts.append(f"{name} again {'at the end' if late else _from(start_s)}")
        else:
            parts.append(f"{name} {_from(start_s)}")
    return ", ".join(parts)


def _shares(
    names: Sequence[str],
    rows: Sequence[Costs],
    weights: Sequence[int],
    clear: Sequence[bool],
    state: int | None,
) -> str:
    """Describe a recording of one phase, or of too many (None), by shares."""
    shares = [0] * len(names)
    for row, n, is_clear in zip(rows, weights, clear, strict=True):
        shares[row.index(min(row))] += n if is_clear else 0
    known = sum(shares)
    common = shares.index(max(shares))
    main = common if state is None else state
    near = sum(
        n
        for row, n, is_clear in zip(rows, weights, clear, strict=True)
        if is_clear and row[main] <= _NEAR
    )
    if 10 * near >= 9 * sum(weights):
        return f"{names[main]} throughout"
    main = common if 2 * shares[main] < known else main
    # Named if they last for a tenth of the time, and longer than a window.
    tenths = [i for i, n in enumerate(shares) if n and 10 * n >= known]
    often = [i for i in tenths if shares[i] >= _PHASE]
    if 5 * shares[main] > 3 * known:
        others = sorted(set(often) - {main}, key=lambda i: (-shares[i], i))
        return f"mostly {names[main]}" + "".join(
            f", at times {names[i]}" for i in others[:1]
        )
    if len(tenths) > 1:
        *first, last = [names[i] for i in (often if len(often) > 1 else tenths)]
        return f"changes between {', '.join(first)} and {last}"
    return f"on the whole {names[main]}"


def _clear_path(rows: Sequence[Costs], weights: Sequence[int]) -> list[int]:
    """Return the state of each window, such that neighbouring phases are distinct."""
    capped = [tuple(min(cost, _CAP) for cost in row) for row in rows]
    change = _CAP * max(_PHASE, sum(weights) // _PART)
    path = _cheapest_path(capped, weights, change)
    while any(
        _is_weak(i, path, capped, weights)
        for i in range(1, len(path))
        if path[i] != path[i - 1]
    ):
        change *= 2
        path = _cheapest_path(capped, weights, change)
    return path


def _is_weak(
    at: int, path: Sequence[int], rows: Sequence[Costs], weights: Sequence[int]
) -> bool:
    """Return whether the phases that meet at a window could well be one.

    That is if each would cost little more in the state of the other, on average.
    """
    before, after = path[at - 1], path[at]
    first = last = at
    while first > 0 and path[first - 1] == before:
        first -= 1
    while last < len(path) and path[last] == after:
        last += 1
    early, late = range(first, at), range(at, last)
    n_early, n_late = sum(weights[i] for i in early), sum(weights[i] for i in late)
    lost_early = sum(weights[i] * (rows[i][after] - rows[i][before]) for i in early)
    lost_late = sum(weights[i] * (rows[i][before] - rows[i][after]) for i in late)
    # Means, in whole ten-thousandths: exact in all languages.
    return lost_early // n_early + lost_late // n_late < _CONTRAST


def _cheapest_path(
    rows: Sequence[Costs], weights: Sequence[int], change: int
) -> list[int]:
    """Return the state of each window: cheapest in sum of windows and changes."""
    best = [0] * len(rows[0])
    came: list[list[int]] = []
    for row, n in zip(rows, weights, strict=True):
        cheapest = min(best)
        other = best.index(cheapest)
        # A change must be worth it: equal costs stay where they are.
        stays = [cost <= cheapest + change for cost in best]
        came.append([i if stays[i] else other for i in range(len(best))])
        best = [
            (best[i] if stays[i] else cheapest + change) + n * row[i]
            for i in range(len(best))
        ]
    state = best.index(min(best))
    path = []
    for before in reversed(came):
        path.append(state)
        state = before[state]
    return path[::-1]


def _level_costs(arousal: int) -> Costs:
    """Return the distance of an arousal from the range of each level."""
    even = max(0, _LOW - arousal, arousal - _HIGH)
    return max(0, arousal - _LOW + 1), even, max(0, _HIGH + 1 - arousal)


def _emotion_costs(probabilities: Sequence[int]) -> Costs:
    """Return how far the probability of each emotion is below the highest one."""
    top = max(probabilities)
    return tuple(top - each for each in probabilities)


def _units(value: float) -> int:
    return int(value * _UNIT + 0.5)


def _from(start_s: int) -> str:
    return f"from {to_clock(start_s)}"
