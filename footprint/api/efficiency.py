"""This file answers for what engineers ask: models and what they cost, alternatives, steps, phases, the register."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Query as Parameter

from footprint.access.middleware import AuthorizedQueries
from footprint.api.footprint import answer_with
from footprint.config import Config
from footprint.figures import Query, QueryResult, parse_query, run_query
from footprint.queries import avoidable_energy, batch_efficiency, model_comparison
from footprint.storage.database import Store

Table = tuple[list[str], list[dict[str, Any]]]
FromQuery = Annotated[str | None, Parameter(alias="from")]
FormatQuery = Annotated[str, Parameter(alias="format", description="json, csv or parquet")]
TimeQuery = Annotated[float | None, Parameter(description="limit of the 95th percentile of response times [s]")]
NAMES = ("alternatives", "avoidable", "models", "phases", "steps")
ScoreQuery = Annotated[float | None, Parameter(description="least score")]
WhereQuery = Annotated[list[str] | None, Parameter(description="name=value, may be repeated")]


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """The routes, over one store; they stand before ``/api/v1/tables/{name}``."""
    routes = APIRouter()

    def asked(from_: str | None, to: str | None, where: list[str] | None) -> Query:
        return parse_query(config.timezone, from_=from_, to=to, where=where or ())

    sight = AuthorizedQueries(store, config, clock)

    def seen(question: Query) -> QueryResult:
        """Models are shown by use case: those that the reader may not see are left out."""
        return sight.ask(question, lambda each: run_query(store, config, each, clock()))

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
            store, config, asked(from_, to, where), clock(), use_case=use_case, max_s=max_s, min_score=min_score, run=seen
        )
        return answer_with(list(model_comparison.COLUMNS), rows, form, config, "models")

    @routes.get("/api/v1/tables/alternatives", summary="The model that most requests took and the best measured other one")
    def alternatives(
        from_: FromQuery = None,
        to: str | None = None,
        where: WhereQuery = None,
        max_s: TimeQuery = None,
        min_score: ScoreQuery = None,
        form: FormatQuery = "json",
    ) -> Response:
        question, now = asked(from_, to, where), clock()
        known = model_comparison.compare_models(store, config, question, now, max_s=max_s, min_score=min_score, run=seen)
        rows = model_comparison.alternatives(store, config, question, now, known, score_limited=min_score is not None)
        return answer_with(list(model_comparison.ALTERNATIVE_COLUMNS), rows, form, config, "alternatives")

    @routes.get("/api/v1/tables/steps", summary="Joules per output token by tokens a decode step, binned")
    def steps(from_: FromQuery = None, to: str | None = None, form: FormatQuery = "json") -> Response:
        question = asked(from_, to, None)
        rows = batch_efficiency.energy_by_step_size(store, question.from_us, question.to_us)
        return answer_with(list(batch_efficiency.STEP_COLUMNS), rows, form, config, "steps")

    @routes.get("/api/v1/tables/phases", summary="Joules of a mean request by phase and service")
    def phases(from_: FromQuery = None, to: str | None = None, where: WhereQuery = None, form: FormatQuery = "json") -> Response:
        question = asked(from_, to, where)
        sight.admit(question)
        rows = batch_efficiency.energy_by_phase(store, config, question, clock())
        return answer_with(list(batch_efficiency.PHASE_COLUMNS), rows, form, config, "phases")

    @routes.get("/api/v1/tables/avoidable", summary="Energy that served nobody, by cause, with owner and status")
    def avoidable(from_: FromQuery = None, to: str | None = None, form: FormatQuery = "json") -> Response:
        question = asked(from_, to, None)
        rows = avoidable_energy.action_register(store, config, question.from_us, question.to_us)
        return answer_with(list(avoidable_energy.REGISTER_COLUMNS), rows, form, config, "avoidable")

    return routes
