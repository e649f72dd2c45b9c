"""Routes of benchmarks: own results, and public references, which are never ranked with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from footprint.api.footprint import table_response
from footprint.benchmark import benchmark_rows, reference_results, result_rows
from footprint.config import Config

FormatQuery = Annotated[str, Query(alias="format", description="json, csv or parquet")]


def router(config: Config) -> APIRouter:
    """Routes over the stored benchmark results."""
    routes = APIRouter()

    @routes.get("/api/v1/benchmarks", summary="Benchmark results by model and concurrency")
    def benchmarks(form: FormatQuery = "json") -> Response:
        return table_response(list(result_rows.COLUMNS), benchmark_rows(config), form, config, "benchmarks")

    @routes.get("/api/v1/benchmarks/references", summary="Public references: other hardware, other load")
    def public(form: FormatQuery = "json") -> Response:
        return table_response(list(reference_results.COLUMNS), reference_results.reference_rows(), form, config, "references")

    return routes
