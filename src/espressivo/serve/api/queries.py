"""Parameters in the query of a request: what is asked for, checked before the work."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from espressivo.audio.headerless import parse_format
from espressivo.errors import AudioError
from espressivo.serve.api.limits import DEFAULT_HOP_S, LEAST_HOP_S
from espressivo.serve.api.refusals import Reason, Refused
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

MOST_FORMAT = 40
"""Letters of a headerless format that count; the longest has fewer."""


class Decoding(NamedTuple):
    """How a recording is decoded.

    Attributes:
        track: Number of the audio track, from 1; None: the default track.
        headerless: Format of a recording without a header; None: by its name.
    """

    track: int | None = None
    headerless: str | None = None


def decoding_of(query: QueryParams) -> Decoding:
    """Return how a query wants a recording decoded.

    Raises:
        Refused: The track is no number, or there is no such format.
    """
    track, headerless = query.get("track"), query.get("format")
    if track is not None and not (track.isascii() and track.isdecimal()):
        raise Refused(
            Reason.BAD_REQUEST, f"track is {track[:20]!r}, not a number from 1"
        )
    if headerless is not None:
        headerless = headerless[:MOST_FORMAT]  # messages repeat it
        try:
            parse_format(headerless)
        except AudioError as error:
            raise Refused(Reason.BAD_REQUEST, str(error)) from error
    return Decoding(None if track is None else int(track[:9]), headerless)


def hop_of(query: QueryParams) -> float:
    """Return the interval of provisional estimates in a query, in seconds; 0: none.

    Raises:
        Refused: The sample rate or the interval is not supported.
    """
    rate = query.get("rate", str(SAMPLE_RATE))
    if rate != str(SAMPLE_RATE):
        raise Refused(
            Reason.BAD_REQUEST,
            f"rate is {rate[:20]!r}, not {SAMPLE_RATE}; resample before sending",
        )
    text = query.get("hop", str(DEFAULT_HOP_S))
    try:
        hop_s = float(text)
    except ValueError:
        hop_s = math.nan
    if not (hop_s == 0 or LEAST_HOP_S <= hop_s <= 3600):
        raise Refused(
            Reason.BAD_REQUEST,
            f"hop is {text[:20]!r}, not 0 or {LEAST_HOP_S:g} to 3600 seconds",
        )
    return hop_s
