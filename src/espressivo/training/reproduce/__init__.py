"""Reproduction of published studies, with published and measured values compared.

`study_corpora` reads and checks corpora, `studies` defines the runs, `cross_corpus`
evaluates a finished model on another corpus, `comparison` makes the tables, `summary`
writes them all, and `estimate` predicts time and disk space.
"""
