"""Benchmark protocol: the energy that a served model takes under a defined load, its results, and their comparison.

Running: `design` (points and their order), `prompts`, `openai_client`, `load_generator`, `energy_source` and
`ledger_energy_source`, `grader`, `runner`. Analysis: `steady_state`, `concurrency_levels`, `batch_model`, `compare`. Results:
`result` (JSON document), `result_store` (signed files), `result_rows` (tables), `reference_results` (public measurements).
"""

from footprint.benchmark.reference_results import reference_rows
from footprint.benchmark.result_rows import COLUMNS, benchmark_rows, rows_of_result

__all__ = ["COLUMNS", "benchmark_rows", "reference_rows", "rows_of_result"]
