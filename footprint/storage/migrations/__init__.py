"""Migrations: steps from one schema of the store to the next, forwards only.

env.py       lets Alembic work within the transaction that the store opened
columns.py   the kinds of columns that there are
versions/    one file a step

A new store is made whole from tables.py and marked with the latest step; a test holds the two against each other.
"""
