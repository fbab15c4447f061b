"""What a worker process does: load a model, then answer entry after entry.

A remote recording is copied here while the one before is analysed.
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
from espressivo.batch.outcome import (
    Failure,
    Outcome,
)
from espressivo.batch.store import (
    fetched,
    is_remote,
)
from espressivo.errors import ArchiveError, AudioError, EspressivoError, ModelError
from espressivo.model.classifier import load_classifier

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Executor, Future
    from multiprocessing.connection import Connection

    from espressivo.batch.entries import Entry
    from espressivo.report import Report

    Copy: TypeAlias = Future[tuple[Path, ExitStack]]

_COPIES_AT_ONCE = 2  # as many as wait, see `Crew`


def answer_all(
    pipe: Connection, model: Path, sha256: str, scratch: Path | None
) -> None:
    """Answer entries from a pipe until that ends.

    The first message that is sent is None, or the error that keeps the model from
    being loaded; then an `Outcome` an entry.

    Args:
        pipe: To the process that hands out entries.
        model: The model's folder.
        sha256: Of its graph, when the work began.
        scratch: For copies of remote recordings.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who hands out
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # nobody is there any more
        try:
            analyzer = _load(model, sha256)
        except EspressivoError as error:
            pipe.send(error)
            return
        pipe.send(None)
        with ThreadPoolExecutor(_COPIES_AT_ONCE, "copy") as pool:
            for entry, copy in arrivals(pipe, pool, scratch):
                pipe.send(_answer(analyzer, entry, copy))


def arrivals(
    pipe: Connection, pool: Executor, scratch: Path | None
) -> Generator[tuple[Entry, Copy | None], None, None]:
    """Yield entries in order; a remote one with its copy, which may be on its way.

    Args:
        pipe: Gives the entries; a few wait in it.
        pool: Copies those that wait.
        scratch: Where to.

    Raises:
        EOFError: There are no more.
    """
    waiting: deque[tuple[Entry, Copy | None]] = deque()
    while True:
        while not waiting or pipe.poll():
            entry: Entry = pipe.recv()
            is_far = is_remote(entry.path)
            copy = pool.submit(_copied, entry.path, scratch) if is_far else None
            waiting.append((entry, copy))
        yield waiting.popleft()


def _copied(address: str, scratch: Path | None) -> tuple[Path, ExitStack]:
    """Return where the copy is, and what deletes it."""
    with ExitStack() as stack:
        path = stack.enter_context(fetched(address, scratch))
        return path, stack.pop_all()


def _answer(analyzer: Analyzer, entry: Entry, copy: Copy | None) -> Outcome:
    """Analyse one recording; whatever is wrong with it is an outcome, not an error."""
    try:
        report = _analyze(analyzer, entry, copy).to_dict()
    except AudioError as error:
        return Outcome(entry, failure=Failure(error.kind, str(error)))
    except (OSError, ArchiveError) as error:  # such as a folder not to be entered
        why = getattr(error, "strerror", None) or error
        reason = f"{entry.id}: cannot be opened ({why})"
        return Outcome(entry, failure=Failure("not opened", reason))
    except MemoryError:
        reason = f"{entry.id}: does not fit into memory; use fewer workers"
        return Outcome(entry, failure=Failure("memory", reason))
    except Exception as error:  # noqa: BLE001 - one recording must not stop the rest
        reason = f"{entry.id}: {type(error).__name__}: {error}".replace("\n", " ")
        return Outcome(entry, failure=Failure("error", reason))
    del report["segments"]  # of which tables say the sum alone
    return Outcome(entry, report)


def _load(model: Path, sha256: str) -> Analyzer:
    classifier = load_classifier(model)
    if classifier.card.sha256 != sha256:
        raise ModelError(
            f"{model}: changed while it was in use; give the command again"
        )
    return Analyzer(classifier, threads=1)


def _analyze(analyzer: Analyzer, entry: Entry, copy: Copy | None) -> Report:
    if copy is not None:
        try:
            path, deleting = copy.result()
        except FileNotFoundError as error:
            raise AudioError(
                f"{entry.id}: no such file; pass a recording", "missing"
            ) from error
        with deleting:
            return analyzer.analyze(path, name=entry.id)
    path = Path(entry.path)
    # Pipes and devices may keep a reader waiting for ever.
    if path.exists() and not path.is_file() and not path.is_dir():
        raise AudioError(
            f"{entry.id}: is a pipe or a device; pass a recording", "no file"
        )
    return analyzer.analyze(path, name=entry.id)


def _end_with_parent() -> None:
    """End when whoever hands out has been killed, which it cannot say."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
