"""Worker process: loads a model, then analyses one recording after another.

A remote recording is copied to this machine while the previous one is analysed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

from espressivo.analyzer import Analyzer
from espressivo.batch.outcome import Outcome, row_of, voices_of
from espressivo.batch.store import fetched, is_remote
from espressivo.errors import ArchiveError, AudioError, EspressivoError, ModelError
from espressivo.model.classifier import load_classifier
from espressivo.text import shortened
from espressivo.types import Unreadable

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Executor, Future
    from multiprocessing.connection import Connection

    from espressivo.batch.entries import Entry
    from espressivo.batch.plan import Plan
    from espressivo.profile.profile import Profile
    from espressivo.report import Report

    Copy: TypeAlias = Future[tuple[Path, ExitStack]]
    """Path of a local copy, and what deletes it."""

# `workers._PREFETCH` entries are sent ahead: one is analysed, two wait to be copied.
_COPIES_AT_ONCE = 2


def analyze_entries(
    pipe: Connection,
    model: Path,
    plan: Plan,
    scratch: Path | None,
    setting: Profile | None = None,
) -> None:
    """Analyse the entries received through a pipe, until it is closed.

    The first message sent back is None, or the error that prevented loading the model.
    Then follows one `Outcome` per entry, in order.

    Args:
        pipe: Connection to the process that distributes entries.
        model: The model's folder.
        plan: Plan of the archive, with the model's hash at the start of the run.
        scratch: Folder for copies of remote recordings; None: the system's temporary
            folder.
        setting: Setting that every recording is judged by; None: none.
    """
    follow_parent()
    with suppress(EOFError, OSError):  # the parent has closed the pipe
        try:
            analyzer = _load(model, plan, setting)
        except EspressivoError as error:
            pipe.send(error)
            return
        pipe.send(None)
        with ThreadPoolExecutor(_COPIES_AT_ONCE, "copy") as pool:
            for entry, copy in receive_entries(pipe, pool, scratch):
                pipe.send(_outcome(analyzer, entry, copy, plan.headerless))


def receive_entries(
    pipe: Connection, pool: Executor, scratch: Path | None
) -> Generator[tuple[Entry, Copy | None], None, None]:
    """Yield received entries in order, remote ones with a future of their local copy.

    Args:
        pipe: Connection that delivers the entries.
        pool: Threads that copy remote recordings while others are analysed.
        scratch: Folder for the copies; None: the system's temporary folder.

    Raises:
        EOFError: The pipe is closed.
    """
    waiting: deque[tuple[Entry, Copy | None]] = deque()
    while True:
        # All entries in the pipe are received at once, so that copying starts early.
        while not waiting or pipe.poll():
            entry: Entry = pipe.recv()
            is_far = is_remote(entry.path)
            copy = pool.submit(_copied, entry.path, scratch) if is_far else None
            waiting.append((entry, copy))
        yield waiting.popleft()


def _copied(address: str, scratch: Path | None) -> tuple[Path, ExitStack]:
    with ExitStack() as stack:
        path = stack.enter_context(fetched(address, scratch))
        return path, stack.pop_all()


def _outcome(
    analyzer: Analyzer, entry: Entry, copy: Copy | None, headerless: str | None
) -> Outcome:
    """Return the outcome of one recording; any fault in it becomes a failure."""
    try:
        report = _analyze(analyzer, entry, copy, headerless)
    except AudioError as error:
        return failed(entry, error.kind, str(error))
    except (OSError, ArchiveError) as error:  # such as a folder without permission
        why = getattr(error, "strerror", None) or error
        return failed(entry, "not opened", f"{entry.id}: cannot be opened ({why})")
    except MemoryError:
        reason = f"{entry.id}: does not fit into memory; use fewer workers"
        return failed(entry, "memory", reason)
    except Exception as error:  # noqa: BLE001 - one recording must not stop the rest
        # Some errors quote what they could not read.
        what = shortened(str(error).replace("\n", " "))
        reason = f"{entry.id}: {type(error).__name__}: {what}"
        return failed(entry, "error", reason)
    return Outcome(entry, row_of(report), voices=voices_of(report))


def failed(entry: Entry, kind: str, reason: str) -> Outcome:
    """Return the outcome of a recording that could not be analysed."""
    return Outcome(entry, failure=Unreadable(entry.id, entry.path, reason, kind))


def follow_parent() -> None:
    """Leave Ctrl-C to the parent process, and exit when it is killed."""
    # Ctrl-C reaches all processes of the terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_with_parent, daemon=True).start()


def _load(model: Path, plan: Plan, setting: Profile | None) -> Analyzer:
    classifier = load_classifier(model)
    # A worker that starts late must not mix two models in one table.
    if classifier.card.sha256 != plan.model_sha256:
        raise ModelError(
            f"{model}: changed while it was in use; give the command again"
        )
    return Analyzer(
        classifier,
        speech=plan.speech,
        threads=1,
        voices=plan.is_adapted,
        setting=setting,
    )


def _analyze(
    analyzer: Analyzer, entry: Entry, copy: Copy | None, headerless: str | None
) -> Report:
    if copy is not None:
        try:
            path, deleting = copy.result()
        except FileNotFoundError as error:
            raise AudioError(
                f"{entry.id}: no such file; pass a recording", "missing"
            ) from error
        with deleting:
            return analyzer.analyze(path, name=entry.id, headerless=headerless)
    path = Path(entry.path)
    # Reading a named pipe or a device can block for ever.
    if path.exists() and not path.is_file() and not path.is_dir():
        raise AudioError(
            f"{entry.id}: is a pipe or a device; pass a recording", "no file"
        )
    return analyzer.analyze(path, name=entry.id, headerless=headerless)


def _exit_with_parent() -> None:
    """Exit when the parent is killed, which a busy worker would not notice."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
