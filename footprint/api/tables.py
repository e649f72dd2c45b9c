"""This file answers for what stands beside the figures: readings, methods, facts, factors, balance, fits, causes, jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from footprint.access.guarding import current_role
from footprint.api import engineering
from footprint.api.figures import answer_with
from footprint.config import Config
from footprint.instants import format_instant
from footprint.jobs import latest_runs
from footprint.ledger.factors import book_of
from footprint.periods import BadPeriod, named_period
from footprint.querying import Question, parse_question, raw, silence
from footprint.querying import bundles as bundling
from footprint.querying import causes as causing
from footprint.querying import closure as closing
from footprint.querying import facts as declaring
from footprint.querying import methods as describing
from footprint.querying import objectives as keeping
from footprint.querying import splits as dividing
from footprint.querying.question import BadQuestion
from footprint.store import Store
from footprint.units import US_PER_DAY, US_PER_S

Table = tuple[list[str], list[dict[str, Any]]]
MOST_DAYS = 31  # of raw readings in one answer


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """The routes, over one store."""
    routes = APIRouter()

    def bounded(from_: str | None, to: str | None) -> Question:
        return parse_question(config.timezone, from_=from_, to=to)

    def methods(_: Question, language: str) -> Table:
        return list(describing.COLUMNS), describing.described(language)

    def facts(_: Question, __: str) -> Table:
        return list(declaring.COLUMNS), declaring.declared(config, hosts=current_role().sees_services)

    def factors(_: Question, __: str) -> Table:
        names = [
            "kind",
            "where",
            "valid_from",
            "valid_to",
            "value",
            "low",
            "high",
            "unit",
            "scope",
            "source",
            "licence",
            "retrieved",
            "bundle",
            "sha256",
        ]
        rows = [{name: getattr(factor, name) for name in names} for factor in book_of(store).factors]
        for row in rows:
            row |= {name: row[name].isoformat() if row[name] is not None else None for name in ("valid_from", "valid_to")}
        return names, rows

    def balance(question: Question, _: str) -> Table:
        return list(closing.COLUMNS), closing.closure(store, config, question.from_us, question.to_us)

    def splits(question: Question, _: str) -> Table:
        return list(dividing.COLUMNS), dividing.splits(store, question.from_us, question.to_us)

    def uncertainty(question: Question, _: str) -> Table:
        return list(causing.COLUMNS), causing.causes(store, config, question, clock())

    def jobs(_: Question, __: str) -> Table:
        columns = ["job", "status", "started", "duration_s", "said"]
        return columns, [
            {
                "job": run["name"],
                "status": run["status"],
                "started": format_instant(run["started_us"]),
                "said": run["said"] or None,
                "duration_s": None if run["ended_us"] is None else (run["ended_us"] - run["started_us"]) / US_PER_S,
            }
            for run in latest_runs(store)
        ]

    def silent(_: Question, __: str) -> Table:
        return list(silence.COLUMNS), [heard.row() for heard in silence.last_heard(store, config, clock())]

    known: dict[str, Callable[[Question, str], Table]] = {
        "methods": methods,
        "facts": facts,
        "factors": factors,
        "balance": balance,
        "splits": splits,
        "uncertainty": uncertainty,
        "jobs": jobs,
        "silent": silent,
    }

    @routes.get("/api/v1/tables/objectives", summary="How each budget and target stands, in a period or in the one that runs")
    def objectives(
        period: str | None = None,
        form: Annotated[str, Query(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        try:
            at = named_period(period) if period else None
        except BadPeriod as bad:
            raise BadQuestion(str(bad)) from None
        found = keeping.standings(store, config, clock(), at)
        return answer_with(list(keeping.COLUMNS), [each.row() for each in found], form, config, "objectives")

    @routes.get("/api/v1/tables/bundles", summary="What one bundle of factors changed against another, by factor and place")
    def bundles(
        before: str | None = None,
        after: str | None = None,
        form: Annotated[str, Query(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        book = book_of(store)
        names = bundling.bundles_of(book)
        rows = bundling.differences(book, config, before or names[max(len(names) - 2, 0)], after or names[-1])
        return answer_with(list(bundling.COLUMNS), rows, form, config, "bundles")

    @routes.get("/api/v1/tables/{name}", summary="Tables beside the figures: " + ", ".join(sorted(known)))
    def tables(
        name: str,
        lang: str = "en",
        from_: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
        form: Annotated[str, Query(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        if name not in known:
            names = ", ".join(sorted({*known, *engineering.NAMES, "bundles", "objectives"}))
            return JSONResponse({"error": f"no table {name}; there are {names}"}, 404)
        return answer_with(*known[name](bounded(from_, to), "fr" if lang == "fr" else "en"), form, config, name)

    @routes.get("/api/v1/readings", summary="Raw readings of one device, at most a month at a time")
    def readings(
        host: str,
        device: str,
        from_: Annotated[str, Query(alias="from")],
        to: str,
        form: Annotated[str, Query(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        question = bounded(from_, to)
        assert question.from_us is not None
        assert question.to_us is not None
        if question.to_us - question.from_us > MOST_DAYS * US_PER_DAY:
            raise BadQuestion(f"at most {MOST_DAYS} days of raw readings at a time")
        return answer_with(
            list(raw.COLUMNS), raw.readings_of(store, host, device, question.from_us, question.to_us), form, config, "readings"
        )

    return routes
