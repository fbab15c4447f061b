"""Sound without a header, as telephone systems store it: its name says what it is.

FFmpeg opens recordings by their content, so what has no header must be named to it: by
the ending of the file's name, or by the user.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import av

from espressivo.audio.signatures import signature_of
from espressivo.errors import AudioError

if TYPE_CHECKING:
    from pathlib import Path

_TELEPHONE_HZ = 8000
_HIGHEST_HZ = 768_000
_MOST_CHANNELS = 8

# Formats of samples, with the rate that FFmpeg must be told; None: no rate is usual.
_SAMPLES: dict[str, int | None] = {
    "mulaw": _TELEPHONE_HZ,
    "alaw": _TELEPHONE_HZ,
    **{f"{kind}{end}": None for kind in ("s16", "u16") for end in ("le", "be")},
    **{f"{kind}{end}": None for kind in ("s24", "s32") for end in ("le", "be")},
    **{f"{kind}{end}": None for kind in ("f32", "f64") for end in ("le", "be")},
    "s8": None,
    "u8": None,
}
# Formats of frames, whose rate is fixed.
_FRAMES = ("g722", "gsm", "g729", "g723_1", "g726", "g726le", "g728", "sbc")
FORMATS = tuple(name for name in (*_SAMPLES, *_FRAMES) if name in av.formats_available)
"""Names of all headerless formats, as FFmpeg spells them."""

_SLIN_HZ = {"": 8000, "44": 44100} | {
    str(kilo): 1000 * kilo for kilo in (8, 12, 16, 24, 32, 48, 96, 192)
}
_BY_ENDING = {
    **dict.fromkeys(("ul", "ulw", "ulaw", "mu", "mulaw", "pcmu", "g711u"), "mulaw"),
    **dict.fromkeys(("al", "alw", "alaw", "pcma", "g711a"), "alaw"),
    **dict.fromkeys(("g722", "722"), "g722"),
    "gsm": "gsm",
    **dict.fromkeys(("g729", "g729a"), "g729"),
    **dict.fromkeys(("g723", "g723_1", "rco", "tco"), "g723_1"),
    **dict.fromkeys(("g726", "g726-32", "g726-16", "g726-24", "g726-40"), "g726le"),
    "g728": "g728",
    **dict.fromkeys(("sbc", "msbc"), "sbc"),
    **{f"sln{kilo}": f"s16le:{hertz}" for kilo, hertz in _SLIN_HZ.items()},
    **{f"slin{kilo}": f"s16le:{hertz}" for kilo, hertz in _SLIN_HZ.items()},
}
# Raw samples of any rate and width, or anything else.
_AMBIGUOUS = frozenset(
    f".{ending}"
    for ending in ("raw", "pcm", "lpcm", "s16", "s16le", "sw", "sb", "ub", "uw", "f32")
)
HEADERLESS_SUFFIXES = frozenset(f".{ending}" for ending in _BY_ENDING)
"""Lower-case suffixes of the files that are known to have no header."""


@dataclass(frozen=True, slots=True)
class RawFormat:
    """A format that FFmpeg must be told.

    Attributes:
        name: FFmpeg's name of the demuxer, such as `mulaw`.
        options: Options of the demuxer, such as the sample rate.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)


def raw_format(path: Path, head: bytes, given: str | None = None) -> RawFormat | None:
    """Return the format of a file without a header; None: its content says what it is.

    A file that begins as a container does is opened as that, whatever its name.

    Args:
        path: Path or name of the file, whose suffix counts.
        head: First bytes of the file; empty if they cannot be read ahead.
        given: Format that the user names for files without a header, as for
            `parse_format`; None: by the suffix.

    Raises:
        AudioError: `given` is no headerless format.
    """
    wanted = None if given is None else parse_format(given)
    found = signature_of(head)
    if found is not None and found.is_media:
        return None
    if wanted is not None:
        return wanted
    ending = path.suffix.lower().removeprefix(".")
    if ending not in _BY_ENDING:
        return None
    by_name = parse_format(_BY_ENDING[ending])
    if by_name.name == "g726le":
        kbits = int(ending.partition("-")[2] or 32)
        return RawFormat("g726le", {"code_size": str(kbits // 8)})
    return by_name


def remedy(path: Path) -> str:
    """Return what can be done with a file that FFmpeg cannot read, by its suffix."""
    suffix = path.suffix.lower()
    if suffix in _AMBIGUOUS:
        return (
            f"what {suffix} means, its name does not say: pass the format of its "
            "samples with --headerless, such as s16le:8000"
        )
    if suffix == ".vox":
        return "FFmpeg reads no Dialogic ADPCM; convert it: sox -r 8000 x.vox x.wav"
    return "pass wav, flac, mp3, ogg, opus, m4a, amr, webm or mp4 with sound"


def parse_format(text: str) -> RawFormat:
    """Return the format in a text: `NAME`, `NAME:RATE` or `NAME:RATE:CHANNELS`.

    >>> parse_format("s16le:8000")
    RawFormat(name='s16le', options={'sample_rate': '8000', 'ch_layout': 'mono'})

    Raises:
        AudioError: There is no such format, or its rate is missing or wrong.
    """
    name, *numbers = text.strip().lower().split(":")
    if name not in FORMATS:
        raise AudioError(
            f"format {text!r}: is none of the headerless formats "
            f"({', '.join(FORMATS)}); pass one, with its rate: s16le:8000. Files "
            "with a header need none",
            "format",
        )
    if name not in _SAMPLES:
        if numbers:
            raise AudioError(
                f"format {text!r}: {name} has a rate of its own; pass {name}", "format"
            )
        return RawFormat(name)
    usual = _SAMPLES[name]
    rate, channels = [*numbers, *("", "")][:2]
    if len(numbers) > 2 or not (rate or usual):
        raise AudioError(
            f"format {text!r}: needs its rate in Hz, and its channels if it has "
            f"several; pass {name}:8000, or {name}:8000:2",
            "format",
        )
    hertz = _whole(text, "rate", rate or str(usual), _HIGHEST_HZ)
    n_channels = _whole(text, "number of channels", channels or "1", _MOST_CHANNELS)
    layout = "mono" if n_channels == 1 else f"{n_channels}c"
    return RawFormat(name, {"sample_rate": str(hertz), "ch_layout": layout})


def _whole(text: str, what: str, number: str, largest: int) -> int:
    value = int(number) if number.isascii() and number.isdecimal() else 0
    if not 1 <= value <= largest:
        raise AudioError(
            f"format {text!r}: its {what} is {number!r}; pass a whole number from 1 "
            f"to {largest}",
            "format",
        )
    return value
