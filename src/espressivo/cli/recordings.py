"""Recordings of the command line: which they are, and the analysis of each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from espressivo.cli.display.printing import tell
from espressivo.cli.display.progress import recording_bar
from espressivo.cli.streams import standard_input
from espressivo.errors import AudioError, EspressivoError
from espressivo.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from espressivo.analyzer import Analyzer
    from espressivo.batch.entries import Entry
    from espressivo.report import Report

_Result = TypeVar("_Result")

_MANY = 1000  # recordings from which an archive is the better way


def listed(given: Sequence[str]) -> list[str]:
    """Return the recordings of a command line: folders become what is in them.

    They are found as `espressivo archive` finds them, without those that are named
    besides. A folder that cannot be read, or holds none, remains: `analyze_recording`
    says so in its turn, so that it does not stop the rest.

    Args:
        given: Paths of recordings and folders; - for standard input.
    """
    # Not resolved: a link is a recording of its own.
    taken = {os.path.abspath(name) for name in given}  # noqa: PTH100
    found: list[str] = []
    for name in given:
        inside = [] if name == "-" else _in_folder(name)
        if not inside:
            found.append(name)
        for path in inside:
            if (place := os.path.abspath(path)) not in taken:  # noqa: PTH100
                taken.add(place)
                found.append(path)
    if len(found) > _MANY:
        tell(
            f"{len(found):,} recordings; `espressivo archive` analyses so many on all "
            "cores, into tables, and goes on where it was interrupted"
        )
    return found


def _in_folder(name: str) -> list[str]:
    """Return the recordings of a folder; none where it holds none, or is no folder."""
    try:
        recordings, left_out = _searched(name)
    except EspressivoError:
        return []
    if left_out:
        tell(f"{name}: {left_out}")
    folder = Path(name)
    root = folder.absolute()
    found = (str(folder / Path(entry.path).relative_to(root)) for entry in recordings)
    return [f"./{name}" if name == "-" else name for name in found]  # a file, not stdin


def _searched(name: str) -> tuple[list[Entry], str]:
    """Return what a folder holds, and what is left out, in words; of a file, nothing.

    Raises:
        EspressivoError: The folder cannot be read, or holds no recording.
    """
    # `Path.is_dir` raises for some names that are no path.
    if not os.path.isdir(name):  # noqa: PTH112
        return [], ""
    from espressivo.batch.entries import described, list_folder

    recordings, left_out, _ = list_folder(Path(name))
    told = described(left_out) if left_out else ""
    if not recordings:
        rest = f" ({told})" if told else ""
        raise AudioError(
            f"{name}: holds no recording{rest}; name recordings, or a folder of some"
        )
    return recordings, told


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
    if not is_stdin:
        _searched(given)  # says what is wrong with a folder that `listed` has left
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
