"""Figures: the one query engine for energy, requests and impact, used by the command line, API, dashboard and notebooks.

`query` holds the query, `engine` runs it. `dataset` reads blocks of figures and sums them in DuckDB, `energy_cells` and
`request_counts` ask it, `cell_table` holds cells as arrays, `group_by` forms the rows, `metrics` computes figures of all rows and
`row_metrics` makes their columns, `coverage` the share of time with readings, `idle_redistribution` the full view, `own_traffic`
says whose requests count, and `mirror` writes the figures of closed days as Parquet files.
"""

from footprint.figures.engine import QueryResult, run_query
from footprint.figures.query import COLUMNS, GROUPS, BadQuery, Query, parse_query

__all__ = ["COLUMNS", "GROUPS", "BadQuery", "Query", "QueryResult", "parse_query", "run_query"]
