"""Files that `analyze --output-dir` writes: their formats and their names."""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.errors import EspressivoError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from espressivo.report import Report

SUFFIXES = {
    "json": ".json",
    "csv": ".csv",
    "html": ".html",
    "png": ".png",
    "srt": ".srt",
    "vtt": ".vtt",
    "textgrid": ".TextGrid",
    # Not .txt alone: beside a recording, that is often its transcript.
    "audacity": ".labels.txt",
}

# File systems allow 255, and the ending and a temporary name are added.
_MOST_BYTES = 180


def parse_formats(text: str) -> list[str]:
    """Return the formats in a text such as `json,srt`."""
    formats = [part.strip().lower() for part in text.split(",")]
    if unknown := [name for name in formats if name not in SUFFIXES]:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is none of {', '.join(SUFFIXES)}"
        )
    return formats


class ReportFiles:
    """The files of the recordings of one command line.

    Args:
        folder: Folder of the files; it is made if it is absent.
        formats: Keys of `SUFFIXES`.
        recordings: Recordings as they were given; - for standard input.

    Raises:
        EspressivoError: The folder is a file.
        OSError: The folder cannot be made.
        ModuleNotFoundError: A figure is wanted, and matplotlib is not installed.
    """

    def __init__(
        self, folder: Path, formats: Sequence[str], recordings: Sequence[str]
    ) -> None:
        self._folder, self._formats = folder, list(dict.fromkeys(formats))
        self._names = name_recordings(recordings)
        self._owners: dict[str, str] = {}
        if folder.exists() and not folder.is_dir():
            raise EspressivoError(f"{folder}: is a file; name a folder")
        folder.mkdir(parents=True, exist_ok=True)
        if "png" in self._formats:
            from espressivo.figures.timeline import require_format

            require_format(folder / "figure.png")

    def write(self, given: str, reports: Sequence[Report]) -> list[Path]:
        """Write the files of one recording, each atomically, and return their paths.

        Args:
            given: The recording as it was given.
            reports: Its report, or those of its channels, which have a file each and a
                figure together.

        Raises:
            OSError: A file cannot be written.
        """
        from espressivo.files.atomic import write_text

        written: list[Path] = []
        for form in self._formats:
            if form == "png":
                from espressivo.figures.timeline import plot_timelines

                written.append(self._path(given, SUFFIXES[form]))
                plot_timelines(reports, written[-1])
                continue
            for report in reports:
                channel = report.channels.replace(" ", "-")
                mark = f".{channel}" if len(reports) > 1 else ""
                written.append(self._path(given, mark + SUFFIXES[form]))
                write_text(_writer(form)(report), written[-1])
        return written

    def _path(self, given: str, ending: str) -> Path:
        """Return a path that no other recording of this command line has."""
        owner = self._names[given]
        short = name = _shortened(owner)
        n = 1
        # The channel of call.wav is named as the recording call.left.wav.
        while self._owners.setdefault((name + ending).casefold(), owner) != owner:
            n += 1
            name = f"{short}-{n}"
        return self._folder / (name + ending)


def name_recordings(recordings: Sequence[str]) -> dict[str, str]:
    """Return a name for the files of each recording: its own without the ending.

    Where several have the same, the ending and then as many folders as it takes are
    put in, for these only. Upper and lower case are one, as on macOS and Windows.

    >>> name_recordings(["a/call.wav", "b/call.wav", "b/note.wav"])
    {'a/call.wav': 'a-call', 'b/call.wav': 'b-call', 'b/note.wav': 'note'}
    """
    paths = {given: _absolute(given) for given in recordings}
    order = list(dict.fromkeys(paths.values()))
    lengths = dict.fromkeys(order, 0)
    while True:
        names = {path: _name(path, n, order) for path, n in lengths.items()}
        same: dict[str, list[Path]] = defaultdict(list)
        for path, name in names.items():
            same[name.casefold()].append(path)
        if len(same) == len(order):
            return {given: names[path] for given, path in paths.items()}
        for group in same.values():
            if len(group) > 1:
                for path in group:
                    lengths[path] += 1


def _absolute(given: str) -> Path:
    # Not resolved: a link has its own name.
    return Path("stdin" if given == "-" else os.path.abspath(given))  # noqa: PTH100


def _name(path: Path, length: int, order: Sequence[Path]) -> str:
    """Return the name of `length`: 0 the stem, 1 with the ending, 2 with a folder."""
    folders = path.parts[1:-1]
    n_folders, ending = divmod(length, 2)
    parts = [*folders[max(0, len(folders) - n_folders) :]]
    parts.append(path.name if ending else path.stem)
    if n_folders > len(folders):  # such as /a-b/c and /a/b-c
        parts.append(str(order.index(path) + 1))
    return "-".join(parts)


def _shortened(name: str) -> str:
    while len(os.fsencode(name)) > _MOST_BYTES:
        name = name[:-1]
    return name


def _writer(form: str) -> Callable[[Report], str]:
    from espressivo import captions

    writers: dict[str, Callable[[Report], str]] = {
        "json": lambda report: report.to_json() + "\n",
        "csv": lambda report: report.to_csv(),
        "html": _page,
        "srt": captions.to_srt,
        "vtt": captions.to_vtt,
        "textgrid": captions.to_textgrid,
        "audacity": captions.to_audacity,
    }
    return writers[form]


def _page(report: Report) -> str:
    """Return the page of a report, without the folders of the recording.

    Pages are passed on, and folders tell more than a name.
    """
    name = report.recording.replace("\\", "/").rpartition("/")[2] or report.recording
    warnings = (each.replace(report.recording, name) for each in report.warnings)
    return replace(report, recording=name, warnings=tuple(warnings)).to_html()
