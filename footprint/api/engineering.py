"""This file answers for what engineers ask: models and what they cost, alternatives, steps, phases, the register."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from footprint.access.guarding import Sight
from footprint.api.figures import answer_with
from footprint.config import Config
from footprint.querying import Answer, Question, parse_question, query, registering
from footprint.querying import models as choosing
from footprint.querying import steps as stepping
from footprint.store import Store

Table = tuple[list[str], list[dict[str, Any]]]
FromQuery = Annotated[str | None, Query(alias="from")]
FormatQuery = Annotated[str, Query(alias="format", description="json, csv or parquet")]
TimeQuery = Annotated[float | None, Query(description="limit of the 95th percentile of response times [s]")]
NAMES = ("alternatives", "avoidable", "models", "phases", "steps")
ScoreQuery = Annotated[float | None, Query(description="least score")]
WhereQuery = Annotated[list[str] | None, Query(description="name=value, may be repeated")]


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """The routes, over one store; they stand before ``/api/v1/tables/{name}``."""
    routes = APIRouter()

    def asked(from_: str | None, to: str | None, where: list[str] | None) -> Question:
        return parse_question(config.timezone, from_=from_, to=to, where=where or ())

    sight = Sight(store, config, clock)

    def seen(question: Question) -> Answer:
        """Models are shown by use case: those that the reader may not see are left out."""
        return sight.ask(question, lambda each: query(store, config, each, clock()))

    @routes.get("/api/v1/tables/models", summary="Wh per response, response time and score of models by use case")
    def models(
        from_: FromQuery = None, to: str | None = None, where: WhereQuery = None, use_case: str = "", max_s: TimeQuery = None,
        min_score: ScoreQuery = None, form: FormatQuery = "json",
    ) -> Response:  # fmt: skip
        rows = choosing.models(
            store, config, asked(from_, to, where), clock(), use_case=use_case, max_s=max_s, min_score=min_score, ask=seen
        )
        return answer_with(list(choosing.COLUMNS), rows, form, config, "models")

    @routes.get("/api/v1/tables/alternatives", summary="The model that most requests took and the best measured other one")
    def alternatives(
        from_: FromQuery = None, to: str | None = None, where: WhereQuery = None, max_s: TimeQuery = None,
        min_score: ScoreQuery = None, form: FormatQuery = "json",
    ) -> Response:  # fmt: skip
        question, now = asked(from_, to, where), clock()
        known = choosing.models(store, config, question, now, max_s=max_s, min_score=min_score, ask=seen)
        rows = choosing.alternatives(store, config, question, now, known, chosen=min_score is not None)
        return answer_with(list(choosing.ALTERNATIVE_COLUMNS), rows, form, config, "alternatives")

    @routes.get("/api/v1/tables/steps", summary="Joules per output token by tokens a decode step, binned")
    def steps(from_: FromQuery = None, to: str | None = None, form: FormatQuery = "json") -> Response:
        question = asked(from_, to, None)
        rows = stepping.tokens_by_step(store, question.from_us, question.to_us)
        return answer_with(list(stepping.STEP_COLUMNS), rows, form, config, "steps")

    @routes.get("/api/v1/tables/phases", summary="Joules of a mean request by phase and service")
    def phases(
        from_: FromQuery = None, to: str | None = None, where: WhereQuery = None, form: FormatQuery = "json"
    ) -> Response:  # fmt: skip
        question = asked(from_, to, where)
        sight.admit(question)
        rows = stepping.phases(store, config, question, clock())
        return answer_with(list(stepping.PHASE_COLUMNS), rows, form, config, "phases")

    @routes.get("/api/v1/tables/avoidable", summary="Energy that served nobody, by cause, with owner and status")
    def avoidable(from_: FromQuery = None, to: str | None = None, form: FormatQuery = "json") -> Response:
        question = asked(from_, to, None)
        rows = registering.register(store, config, question.from_us, question.to_us)
        return answer_with(list(registering.COLUMNS), rows, form, config, "avoidable")

    return routes
