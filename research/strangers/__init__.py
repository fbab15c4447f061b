"""Which settings hold on corpora that a model never met, and what noise is to it."""
