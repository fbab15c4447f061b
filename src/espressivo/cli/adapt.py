"""`espressivo adapt`: settings, learned from unlabelled recordings of many people."""

from __future__ import annotations

import argparse
from collections import deque
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from espressivo.cli.arguments import add_headerless, add_model, whole_number
from espressivo.cli.display.printing import say, tell
from espressivo.errors import AudioError, EspressivoError
from espressivo.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from concurrent.futures import Future

    from espressivo.analyzer import Analyzer
    from espressivo.batch.entries import Entry
    from espressivo.profile.profile import Profile
    from espressivo.report import Report
    from espressivo.types import Progress

_DESCRIPTION = """\
Make a setting: learn from unlabelled recordings of many people what they share, such as
a microphone, a room, a language or a call centre. `analyze --setting NAME` and `listen
--setting NAME` then judge recordings of other people there.

Each recording counts once, however long it is. The recordings need no labels, and their
emotions need not be balanced: that a call centre is mostly neutral is inferred. A
setting is a file of a few kilobytes; it contains no audio, stays on this machine, and
is valid for one model."""

_EPILOG = """\
examples:
  espressivo adapt hotline --from calls
  espressivo adapt hotline --from 'calls/2026-*/*.wav' --replace
  espressivo analyze call.wav --setting hotline
  espressivo profile show hotline
  espressivo profile delete hotline

what to use when:
  --setting    many people in one setting, of whom 20 or more recordings are there
  --speaker    one person who is recorded again and again (see `espressivo profile`)
  --adapt      one long recording of one person, of whom nothing else is known
They can be combined: a setting and a speaker in it.

exit codes:
  0 done, 1 nothing was learned, 3 some recordings failed (each is listed on stderr; the
  setting is made from the others), 130 interrupted (nothing is written)"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "adapt",
        help="what many people's recordings share: microphone, language, call centre",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="or a path ending in .json")
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="SOURCE",
        help="a folder, a pattern in quotes, or a manifest with columns id and path",
    )
    add_model(parser)
    add_headerless(parser)
    parser.add_argument(
        "--replace",
        action="store_true",
        help="replace an existing setting of this name",
    )
    parser.add_argument(
        "--threads",
        type=whole_number,
        metavar="N",
        help="recordings analysed at once (default: one a core)",
    )
    parser.set_defaults(run=run)


class _Counts(NamedTuple):
    """How many recordings taught nothing."""

    n_silent: int = 0
    n_failed: int = 0


def run(args: argparse.Namespace) -> int:
    """Learn the setting, and save it when all recordings are analysed."""
    from espressivo.analyzer import load_model
    from espressivo.batch.entries import described, list_source
    from espressivo.machine import n_cores
    from espressivo.profile.profile import Kind, Profile, create, require_new
    from espressivo.profile.store import held, profile_path

    path = profile_path(args.name)
    # Before the analysis, which can take hours; the lock needs a folder to write to.
    with held(path):
        require_new(path, Kind.SETTING, overwrite=args.replace)
    analyzer = load_model(args.model, threads=1, voices=True)
    empty = Profile.new(path.stem, analyzer.classifier, Kind.SETTING)
    listing = list_source(args.source)
    if listing.left_out:
        tell(described(listing.left_out))
    if (n := len({entry.group for entry in listing.entries} - {""})) > 1:
        tell(
            f"{args.source}: one setting is made of all {n} groups; `espressivo "
            "archive --adapt` tells them apart"
        )
    analyses = _Analyses(analyzer, args.headerless, args.threads or n_cores())
    setting, counts = _learned(empty, analyses, listing.entries)
    if not setting.statistics.n_windows:
        tell(
            f"{args.source}: holds no recording with speech, so there is nothing to "
            "learn; pass recordings of people who speak"
        )
        return 1
    create(setting, path, overwrite=args.replace)
    _print(path, setting, counts, analyzer)
    return 3 if counts.n_failed else 0


def _learned(
    empty: Profile, analyses: _Analyses, entries: Sequence[Entry]
) -> tuple[Profile, _Counts]:
    from espressivo.cli.display.progress import counting_bar

    setting, n_silent, n_failed = empty, 0, 0
    with counting_bar(empty.name) as progress, closing(analyses.of(entries)) as pairs:
        for n_done, (entry, found) in enumerate(pairs, start=1):
            if isinstance(found, EspressivoError):
                tell(found)
                n_failed += 1
            elif found.statistics is None or not found.statistics.n_windows:
                tell(f"{entry.id}: no speech found, nothing learned")
                n_silent += 1
            else:
                setting = setting.merged(found)
            if progress is not None:
                progress(n_done, len(entries))
    return setting, _Counts(n_silent, n_failed)


def _print(path: Path, setting: Profile, counts: _Counts, analyzer: Analyzer) -> None:
    from espressivo.cli.display.profiles import effect, summary

    others = {"without speech": counts.n_silent, "failed": counts.n_failed}
    rest = ", ".join(f"{n} {what}" for what, n in others.items() if n)
    say(f"{path}: {summary(setting)}{f' ({rest})' if rest else ''}")
    say(f"  {effect(setting, analyzer.classifier.require_adaptation())}")


class _Analyses:
    """Analyses of recordings in a few threads, in order.

    Args:
        analyzer: Its reports are to contain voices.
        headerless: Format of recordings without a header; None: by their names.
        n_threads: Number of recordings that are analysed at once.
    """

    def __init__(
        self, analyzer: Analyzer, headerless: str | None, n_threads: int
    ) -> None:
        self._analyzer, self._headerless = analyzer, headerless
        self._n_threads = n_threads
        self._ended = Event()

    def of(
        self, entries: Sequence[Entry]
    ) -> Generator[tuple[Entry, Report | EspressivoError], None, None]:
        """Yield each recording with its report, or with the error that it caused."""
        from espressivo.threads import Threads

        threads: Threads[Report | EspressivoError] = Threads(self._n_threads, "adapt")
        running: deque[tuple[Entry, Future[Report | EspressivoError]]] = deque()
        with threads:
            try:
                for entry in entries:
                    job = threads.submit(partial(self._analyze, entry))
                    running.append((entry, job))
                    # Few reports wait in memory, and Ctrl-C has few to cancel.
                    if len(running) >= 2 * self._n_threads:
                        first, future = running.popleft()
                        yield first, future.result()
                for last, future in running:
                    yield last, future.result()
            finally:
                self._ended.set()  # Ctrl-C does not wait for the end of a recording

    def _analyze(self, entry: Entry) -> Report | EspressivoError:
        """Return the report; any fault of a recording is returned, not raised."""
        from espressivo.batch.store import fetched, is_remote

        name = entry.id
        try:
            if is_remote(entry.path):
                with fetched(entry.path) as copy:
                    return self._report(copy, name)
            path = Path(entry.path)
            # Reading a named pipe or a device can block for ever.
            if path.exists() and not path.is_file():
                return AudioError(f"{name}: is no file; pass a recording", "no file")
            return self._report(path, name)
        except EspressivoError as error:
            return error
        except OSError as error:
            return AudioError(
                f"{name}: cannot be read ({reason_of(error)}); pass an undamaged "
                "recording"
            )
        except MemoryError:
            return AudioError(
                f"{name}: does not fit into memory; use fewer --threads", "memory"
            )

    def _report(self, path: Path, name: str) -> Report:
        stop: Progress = lambda *_: self._require_going()  # noqa: E731
        return self._analyzer.analyze(
            path, name=name, headerless=self._headerless, progress=stop
        )

    def _require_going(self) -> None:
        if self._ended.is_set():
            raise AudioError("interrupted")
