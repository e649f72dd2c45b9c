"""This file answers GET /api/v1/footprint with the parameters and columns of ``footprint query``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from footprint.access.middleware import AuthorizedQueries
from footprint.config import Config
from footprint.core.table_output import Format, render
from footprint.figures import BadQuery, parse_query, run_query
from footprint.storage.database import Store

_MEDIA = {
    Format.json: "application/json",
    Format.csv: "text/csv; charset=utf-8",
    Format.parquet: "application/vnd.apache.parquet",
}
_KNOWN = {"group", "every", "from", "to", "where", "view", "format"}


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """The route, over one store."""
    routes = APIRouter()
    sight = AuthorizedQueries(store, config, clock)

    @routes.get("/api/v1/footprint", summary="Energy, requests and emissions by period and group")
    def footprint(
        request: Request,
        group: str | None = None,
        every: str = "all",
        from_: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
        where: Annotated[list[str] | None, Query()] = None,
        view: str = "active",
        form: Annotated[str | None, Query(alias="format", description="json, csv or parquet")] = None,
    ) -> Response:
        unknown = set(request.query_params) - _KNOWN
        if unknown:
            raise BadQuery(f"unknown parameter {', '.join(sorted(unknown))}; known are {', '.join(sorted(_KNOWN))}")
        wanted = _format(form, request.headers.get("accept", ""))
        question = parse_query(config.timezone, group=group, every=every, from_=from_, to=to, where=where or (), view=view)
        answer = sight.ask(question, lambda asked: run_query(store, config, asked, clock()))
        columns, rows = answer.columns, answer.rows
        return answer_with(columns, rows, wanted, config, "footprint")

    return routes


def answer_with(columns: list[str], rows: list[dict[str, Any]], form: str, config: Config, name: str) -> Response:
    """A table in the format asked for; one of a demonstration says so.

    Raises
    ------
    BadQuestion
        If there is no such format.
    """
    wanted = _format(form, "")
    if config.demo:
        columns, rows = [*columns, "demonstration"], [{**row, "demonstration": True} for row in rows]
    headers = {"Cache-Control": "no-store"}
    if wanted is not Format.json:
        headers["Content-Disposition"] = f'attachment; filename="{name}.{wanted}"'
    return Response(render(columns, rows, wanted), media_type=_MEDIA[wanted], headers=headers)


def _format(form: str | None, accept: str) -> Format:
    if form is None:
        return next((known for known, media in _MEDIA.items() if media.partition(";")[0] in accept), Format.json)
    if form not in {known.value for known in _MEDIA}:
        raise BadQuery(f"format {form!r} is not known; it may be json, csv or parquet")
    return Format(form)
