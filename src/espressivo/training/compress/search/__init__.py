"""Search for the shapes of students that are worth training, by measured costs."""

from espressivo.training.compress.search.costs import Budget
from espressivo.training.compress.search.front import FrontPoint, write_front
from espressivo.training.compress.search.search import Search, search_students

__all__ = ["Budget", "FrontPoint", "Search", "search_students", "write_front"]
