"""Shares of clients: places that one client can take, and turns of the processor."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from espressivo.serve.api.limits import network_of, share_of
from espressivo.serve.api.refusals import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Scope

_RETRY_S = 5.0


def client_of(scope: Scope) -> str:
    """Return the client of a request: an IPv4 address, or an IPv6 network of /64."""
    return network_of(scope["client"][0] if scope["client"] else "")


class Places:
    """Places of one kind; one client can take a share of them.

    Args:
        what: What takes them, for messages.
        n: Number of places.
        share: Largest share of one client, in 0..1; it rounds up.
    """

    def __init__(self, what: str, n: int, share: float) -> None:
        self._what, self._n = what, n
        self._most = share_of(n, share)
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """Take a place.

        Raises:
            Refused: All are taken, or all that one client can take.
        """
        if self._taken.total() >= self._n:
            raise Refused(
                Reason.BUSY,
                f"the server has as many {self._what} as it takes; try again later",
                _RETRY_S,
            )
        if self._taken[client] >= self._most:
            raise Refused(
                Reason.BUSY,
                f"{self._most} {self._what} of {client} are under way, as many as one "
                "client may have; try again later",
                _RETRY_S,
            )
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


@dataclass(slots=True, eq=False)
class _Turn:
    client: str
    number: int  # in the order of arrival
    check: Callable[[], None]
    is_running: bool = False


class Turns:
    """Analyses that run at the same time, chosen round robin by client.

    Each runs in a thread of its own. Between two blocks it gives way to a client that
    has fewer running, and goes on later, so that neither many recordings nor a long one
    hold up another client.

    Args:
        n: Number of analyses that run at the same time.
    """

    def __init__(self, n: int) -> None:
        self._n_free, self._numbers = n, count()
        self._changed = threading.Condition()
        self._waiting: list[_Turn] = []
        self._running: Counter[str] = Counter()
        self._served: dict[str, int] = {}  # when each client last had a turn

    @contextmanager
    def turn(
        self, client: str, check: Callable[[], None]
    ) -> Iterator[Callable[[], None]]:
        """Wait for a turn; yield the function to call between two blocks.

        Args:
            client: Client of the recording.
            check: Function that raises if there is no need to wait any longer; it is
                called after each `wake`.
        """
        turn = _Turn(client, next(self._numbers), check)
        try:
            self._wait(turn)
            yield partial(self._give_way, turn)
        finally:
            with self._changed:
                self._stop(turn)

    def wake(self) -> None:
        """Let all that wait call their `check`."""
        with self._changed:
            self._changed.notify_all()

    def _give_way(self, turn: _Turn) -> None:
        with self._changed:
            n = self._running[turn.client]
            if all(self._running[other.client] >= n for other in self._waiting):
                return
            self._stop(turn, until_later=True)
            self._wait(turn)

    def _wait(self, turn: _Turn) -> None:
        with self._changed:
            self._waiting.append(turn)
            self._start()
            try:
                while not turn.is_running:
                    turn.check()
                    self._changed.wait()
            except BaseException:
                self._waiting.remove(turn)
                raise

    def _start(self) -> None:
        """Start turns while there is room: of the client that has the fewest first."""
        while self._n_free and self._waiting:
            turn = min(self._waiting, key=self._order)
            self._waiting.remove(turn)
            turn.is_running = True
            self._n_free -= 1
            self._running[turn.client] += 1
            self._served[turn.client] = next(self._numbers)
            self._changed.notify_all()

    def _order(self, turn: _Turn) -> tuple[int, int, int]:
        client = turn.client
        return self._running[client], self._served.get(client, -1), turn.number

    def _stop(self, turn: _Turn, *, until_later: bool = False) -> None:
        client = turn.client
        if turn.is_running:
            turn.is_running = False
            self._n_free += 1
            self._running[client] -= 1
        others = any(other.client == client for other in self._waiting)
        if not (self._running[client] or others or until_later):
            del self._running[client]
            self._served.pop(client, None)
        if not until_later:
            self._start()
