"""Does domain adaptation in training help on a corpus that is left out?"""
