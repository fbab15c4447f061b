"""Structured pruning of a finished run, and its recovery by distillation.

`layers` says what can be removed of which network, `importance` what each unit is
worth, `selection` removes the least, `recovery` trains what is left, `steps` repeats
these, and `run` makes a run folder of the result.
"""

from espressivo.training.compress.prune.options import PruneOptions
from espressivo.training.compress.prune.report import PruneReport
from espressivo.training.compress.prune.run import prune_run

__all__ = ["PruneOptions", "PruneReport", "prune_run"]
