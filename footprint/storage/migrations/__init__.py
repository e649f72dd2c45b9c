"""Migrations from one schema of the store to the next, forward only: one file per version under ``versions``.

A new store is created from ``storage.schema`` and marked with the latest version; a test keeps the two equal.
"""
