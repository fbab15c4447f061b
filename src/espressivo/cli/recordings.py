"""Analysis of one recording of the command line, with a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from espressivo.cli.display.progress import recording_bar
from espressivo.cli.streams import standard_input
from espressivo.errors import AudioError
from espressivo.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from espressivo.analyzer import Analyzer
    from espressivo.report import Report

_Result = TypeVar("_Result")


def analyze_recording(
    analyzer: Analyzer,
    given: str,
    track: int | None = None,
    headerless: str | None = None,
) -> Report:
    """Return the report of a recording.

    Args:
        analyzer: The analyzer.
        given: Path of the recording; - for standard input.
        track: Number of the audio track, from 1; None: the default track.
        headerless: Format of a recording without a header; None: by its name.

    Raises:
        AudioError: It cannot be read, for whatever reason: one bad recording must not
            stop the rest.
    """
    return _analyzed(analyzer.analyze, given, track, headerless)


def analyze_channels(
    analyzer: Analyzer,
    given: str,
    track: int | None = None,
    headerless: str | None = None,
) -> list[Report]:
    """Return the report of each channel; arguments and errors as above."""
    return _analyzed(analyzer.analyze_channels, given, track, headerless)


def _analyzed(
    analyze: Callable[..., _Result],
    given: str,
    track: int | None,
    headerless: str | None,
) -> _Result:
    is_stdin = given == "-"
    source = standard_input() if is_stdin else given
    name = "stdin" if is_stdin else given
    try:
        with recording_bar(name) as progress:
            return analyze(
                source,
                name=name,
                track=track,
                headerless=headerless,
                progress=progress,
            )
    except OSError as error:  # such as a disk that fails
        raise AudioError(
            f"{name}: cannot be read ({reason_of(error)}); pass an undamaged recording"
        ) from error
    except MemoryError as error:
        raise AudioError(
            f"{name}: does not fit into memory; cut it, or use fewer --threads",
            "memory",
        ) from error
