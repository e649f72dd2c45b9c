"""Routes of efficiency tables: models, alternatives, batch steps, phases, avoidable energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Query as Parameter

from footprint.access.authorized_queries import AuthorizedQueries
from footprint.api.footprint import table_response
from footprint.config import Config
from footprint.figures import Query, QueryResult, parse_query, run_query
from footprint.queries import avoidable_energy, batch_efficiency, model_comparison
from footprint.storage.database import Store

Table = tuple[list[str], list[dict[str, Any]]]
FromQuery = Annotated[str | None, Parameter(alias="from")]
FormatQuery = Annotated[str, Parameter(alias="format", description="json, csv or parquet")]
TimeQuery = Annotated[float | None, Parameter(description="limit of the 95th percentile of response times [s]")]
TABLE_NAMES = ("alternatives", "avoidable", "models", "phases", "steps")
ScoreQuery = Annotated[float | None, Parameter(description="least score")]
WhereQuery = Annotated[list[str] | None, Parameter(description="name=value, may be repeated")]


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """Routes over one store; include them before ``/api/v1/tables/{name}``."""
    routes = APIRouter()

    def parse(from_: str | None, to: str | None, where: list[str] | None) -> Query:
        return parse_query(config.timezone, from_=from_, to=to, where=where or ())

    authorized_queries = AuthorizedQueries(store, config, clock)

    def run_authorized(query: Query) -> QueryResult:
        """Run a query for the reader: models that the reader may not see are left out."""
        return authorized_queries.run(query, lambda authorized_query: run_query(store, config, authorized_query, clock()))

    @routes.get("/api/v1/tables/models", summary="Wh per response, response time and score of models by use case")
    def models(
        from_: FromQuery = None,
        to: str | None = None,
        where: WhereQuery = None,
        use_case: str = "",
        max_s: TimeQuery = None,
        min_score: ScoreQuery = None,
        form: FormatQuery = "json",
    ) -> Response:
        rows = model_comparison.compare_models(
            store,
            config,
            parse(from_, to, where),
            clock(),
            use_case=use_case,
            max_s=max_s,
            min_score=min_score,
            run=run_authorized,
        )
        return table_response(list(model_comparison.COLUMNS), rows, form, config, "models")

    @routes.get("/api/v1/tables/alternatives", summary="Most used model and its best measured alternative")
    def alternatives(
        from_: FromQuery = None,
        to: str | None = None,
        where: WhereQuery = None,
        max_s: TimeQuery = None,
        min_score: ScoreQuery = None,
        form: FormatQuery = "json",
    ) -> Response:
        query, now = parse(from_, to, where), clock()
        model_rows = model_comparison.compare_models(
            store, config, query, now, max_s=max_s, min_score=min_score, run=run_authorized
        )
        rows = model_comparison.alternatives(store, config, query, now, model_rows, score_limited=min_score is not None)
        return table_response(list(model_comparison.ALTERNATIVE_COLUMNS), rows, form, config, "alternatives")

    @routes.get("/api/v1/tables/steps", summary="Joules per output token by tokens per decode step, binned")
    def steps(from_: FromQuery = None, to: str | None = None, form: FormatQuery = "json") -> Response:
        query = parse(from_, to, None)
        rows = batch_efficiency.energy_by_step_size(store, query.from_us, query.to_us)
        return table_response(list(batch_efficiency.STEP_COLUMNS), rows, form, config, "steps")

    @routes.get("/api/v1/tables/phases", summary="Joules of a mean request by phase and service")
    def phases(from_: FromQuery = None, to: str | None = None, where: WhereQuery = None, form: FormatQuery = "json") -> Response:
        query = parse(from_, to, where)
        authorized_queries.check_table_query(query)
        rows = batch_efficiency.energy_by_phase(store, config, query, clock())
        return table_response(list(batch_efficiency.PHASE_COLUMNS), rows, form, config, "phases")

    @routes.get("/api/v1/tables/avoidable", summary="Avoidable energy by cause, with owner and status")
    def avoidable(from_: FromQuery = None, to: str | None = None, form: FormatQuery = "json") -> Response:
        query = parse(from_, to, None)
        rows = avoidable_energy.action_register(store, config, query.from_us, query.to_us)
        return table_response(list(avoidable_energy.REGISTER_COLUMNS), rows, form, config, "avoidable")

    return routes
