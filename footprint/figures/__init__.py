"""Querying: the one way in which the command line, the API, the dashboard and the notebooks ask for figures.

question.py   what is asked: groups, periods, filters, view
periods.py    days, months and quarters of the organisation, as edges in UTC
cells.py      energy by period and group, from the stored rows; slots that a period cuts are computed anew
columns.py    cells as columns of arrays
grouping.py   which cells and which counts go into each row
counts.py     requests and tokens by period and group
respread.py   the full view: idle energy over a service's own use cases
summed.py     figures and budgets of all rows at once; figures.py the same of one row
coverage.py   how much of the time that should have been read was read
frontier.py   what no other option dominates, quantiles with bounds, binned medians: arithmetic
models.py     what models cost and are worth, and the best alternative of each use case
steps.py      energy per token by tokens a step; joules of a request by phase
registering.py  avoidable energy, with who does what about it
answering.py  all of that, and impact with its bounds, as rows
"""

from footprint.figures.engine import QueryResult, run_query
from footprint.figures.query import COLUMNS, GROUPS, BadQuery, Query, parse_query

__all__ = ["COLUMNS", "GROUPS", "BadQuery", "Query", "QueryResult", "parse_query", "run_query"]
