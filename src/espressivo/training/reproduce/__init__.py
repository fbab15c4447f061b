"""Published studies run again, with published and measured values side by side.

`study_corpora` reads and checks corpora, `studies` defines the runs, `cross_corpus`
evaluates a finished model on another corpus, `comparison` makes the tables, `summary`
gathers them, and `estimate` predicts time and disk space.
"""
