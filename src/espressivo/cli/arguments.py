"""Arguments that several commands share, and parsers of their values."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.model.find import DEFAULT

if TYPE_CHECKING:
    from espressivo.speech.segments import SpeechOptions


def named_folder(text: str) -> tuple[str, Path]:
    """Return name and folder of `NAME=DIR`, such as `ravdess=corpora/ravdess`."""
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=DIR, such as ravdess=corpora/ravdess"
        )
    return name, Path(folder).expanduser().absolute()


def whole_number(text: str) -> int:
    """Return a parsed whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def share(text: str) -> float:
    """Return a parsed share, a number above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1")
    return value


def port_number(text: str) -> int:
    """Return a parsed TCP port, 0 to 65535; 0 stands for any free port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def add_address(parser: argparse.ArgumentParser, port: int, *, network: str) -> None:
    """Add `--host` and `--port` of a server; `network` says who else may reach it."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: %(default)s, which only this machine reaches; "
        f"0.0.0.0: {network})",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        default=port,
        help="0 to 65535 (default: %(default)s; 0: any that is free)",
    )


def add_named_folders(parser: argparse.ArgumentParser, option: str, text: str) -> None:
    """Add a repeatable option that takes `NAME=DIR`."""
    parser.add_argument(
        option,
        type=named_folder,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help=f"{text}; repeatable",
    )


def add_model(parser: argparse._ActionsContainer, *, default: str = DEFAULT) -> None:
    """Add `--model`; with default `argparse.SUPPRESS`, it is absent if not given."""
    parser.add_argument(
        "--model",
        default=default,
        metavar="NAME|DIR",
        help=f"a bundled or pulled model, or a model folder (default: {DEFAULT})",
    )


def add_detection(parser: argparse.ArgumentParser) -> None:
    """Add the settings of the speech detection; see `speech_options`."""
    group = parser.add_argument_group("speech detection")
    group.add_argument(
        "--speech-threshold",
        type=share,
        default=0.5,
        metavar="P",
        help="probability of speech at which a segment begins; it goes on down to "
        f"{_RELEASE} below, but not below {_LEAST_RELEASE} (default: %(default)s)",
    )
    group.add_argument(
        "--min-speech",
        type=seconds,
        default=0.256,
        metavar="S",
        help="shortest segment, in seconds; shorter ones are dropped "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--min-pause",
        type=seconds,
        default=0.384,
        metavar="S",
        help="shortest pause that ends a segment, in seconds (default: %(default)s)",
    )
    group.add_argument(
        "--speech-padding",
        type=seconds,
        metavar="S",
        help="how much of the pauses around it a segment has at each end, in seconds; "
        f"at most half of --min-pause (default: {_PADDING_S}, or that half)",
    )


# As in `SpeechOptions`, whose import would make --help slow.
_RELEASE, _PADDING_S = 0.15, 0.096
# As in Silero's own code: at 0, a segment would never end.
_LEAST_RELEASE = 0.01


def speech_options(args: argparse.Namespace) -> SpeechOptions:
    """Return the settings of the speech detection that a command line gives."""
    from espressivo.speech.segments import SpeechOptions

    most, padding = args.min_pause / 2, args.speech_padding
    if padding is None:
        padding = min(_PADDING_S, most)
    if padding > most:
        args.error(
            f"--speech-padding is {padding:g}; wanted at most half of --min-pause "
            f"({most:g}), or segments would overlap"
        )
    threshold = args.speech_threshold
    release = max(round(threshold - _RELEASE, 6), min(threshold, _LEAST_RELEASE))
    return SpeechOptions(
        threshold=threshold,
        release=release,
        min_speech_s=args.min_speech,
        min_pause_s=args.min_pause,
        pad_s=padding,
    )


def seconds(text: str) -> float:
    """Return a parsed duration, 0 or more seconds and less than an hour."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 3600:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds, 0 or more and less than 3600"
        )
    return value


def add_headerless(parser: argparse.ArgumentParser) -> None:
    """Add `--headerless`, what sound without a header is."""
    parser.add_argument(
        "--headerless",
        type=headerless_format,
        metavar="FORMAT",
        help="what recordings without a header are, as FFmpeg names it: mulaw, alaw, "
        "g722, gsm, ..., or samples with their rate, s16le:8000 (default: as the "
        "file's name ends)",
    )


def headerless_format(text: str) -> str:
    """Return the text if it names a format of sound without a header."""
    from espressivo.audio.headerless import parse_format  # slow: keep `--help` fast
    from espressivo.errors import AudioError

    try:
        parse_format(text)
    except AudioError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_excel(parser: argparse.ArgumentParser) -> None:
    """Add `--excel`, the form of CSV for a double click; see `excel_wanted`."""
    parser.add_argument(
        "--excel",
        action="store_true",
        help="as --csv, for Excel: with a byte order mark, and with formulas in names "
        "made text",
    )


def add_speaker(parser: argparse.ArgumentParser, *, learns: bool) -> None:
    """Add `--speaker` and `--setting`; `learns`: whether the profile is updated."""
    effect = (
        ", and learn from each recording for the next one"
        if learns
        else "; it learns nothing"
    )
    parser.add_argument(
        "--speaker",
        metavar="NAME",
        help="one person who is recorded again and again: judge by this speaker's "
        f"profile (see `espressivo profile`){effect}",
    )
    parser.add_argument(
        "--setting",
        metavar="NAME",
        help="many people with one microphone, language or call centre: judge by what "
        "their recordings share (see `espressivo adapt`)",
    )
