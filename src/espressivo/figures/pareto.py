"""Pareto front of points with a cost and a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def pareto_front(
    points: Iterable[T],
    place: Callable[[T], tuple[float, float]],
    *,
    high_is_good: bool = False,
) -> list[T]:
    """Return the Pareto front: points whose value no cheaper point reaches.

    Args:
        points: Any number of points.
        place: Function that returns a point's cost (less is better) and its value.
        high_is_good: True if a higher value is better, False if a lower one is.

    Returns:
        The front sorted by cost; of points with equal cost and value, the first.

    Examples:
        >>> marks = [(1.0, 30.0), (2.0, 20.0), (3.0, 25.0)]  # size, time
        >>> pareto_front(marks, lambda mark: mark)
        [(1.0, 30.0), (2.0, 20.0)]
    """
    sign = -1 if high_is_good else 1
    best: list[T] = []
    least = float("inf")
    # Of equal costs the best value comes first, so that the others stay out.
    for point in sorted(points, key=lambda p: (place(p)[0], sign * place(p)[1])):
        value = sign * place(point)[1]
        if value < least:
            least = value
            best.append(point)
    return best
