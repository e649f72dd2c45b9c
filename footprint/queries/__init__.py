"""Queries: the questions people ask, each on top of `footprint.figures`: comparisons, balances, what-if, avoidable energy."""
