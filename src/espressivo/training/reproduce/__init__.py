"""Published experiments, run again: the study's tables, and two of its baselines.

`sources` reads and checks corpora, `studies` says what is run, `elsewhere` tests a
finished model on another corpus, `beside` puts the published values beside ours,
`estimate` says what it all would take.
"""
