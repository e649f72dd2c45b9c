"""Figures: the one query engine for energy, requests and impact, used by the command line, API, dashboard and notebooks.

`query` holds the query, `engine` runs it. `energy_cells` and `request_counts` read the store, `cell_table` holds cells as arrays,
`group_by` forms the rows, `metrics` (all rows at once) and `row_metrics` (one row) compute figures, `coverage` the share of time
with readings, and `idle_redistribution` the full view.
"""

from footprint.figures.engine import QueryResult, run_query
from footprint.figures.query import COLUMNS, GROUPS, BadQuery, Query, parse_query

__all__ = ["COLUMNS", "GROUPS", "BadQuery", "Query", "QueryResult", "parse_query", "run_query"]
