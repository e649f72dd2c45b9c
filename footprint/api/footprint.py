"""Route GET /api/v1/footprint, with the parameters and columns of ``footprint query``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from footprint.access.authorized_queries import AuthorizedQueries
from footprint.config import Config
from footprint.core.table_output import Format, render
from footprint.figures import BadQuery, parse_query, run_query
from footprint.storage.database import Store

_MEDIA_TYPES = {
    Format.json: "application/json",
    Format.csv: "text/csv; charset=utf-8",
    Format.parquet: "application/vnd.apache.parquet",
}
_PARAMETERS = {"group", "every", "from", "to", "where", "view", "format"}


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """Route over one store."""
    routes = APIRouter()
    authorized_queries = AuthorizedQueries(store, config, clock)

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
        unknown = set(request.query_params) - _PARAMETERS
        if unknown:
            raise BadQuery(f"unknown parameter {', '.join(sorted(unknown))}; known are {', '.join(sorted(_PARAMETERS))}")
        output_format = _parse_format(form, request.headers.get("accept", ""))
        parsed = parse_query(config.timezone, group=group, every=every, from_=from_, to=to, where=where or (), view=view)
        query = replace(parsed, own_traffic=True)
        result = authorized_queries.run(query, lambda authorized_query: run_query(store, config, authorized_query, clock()))
        columns, rows = result.columns, result.rows
        return table_response(columns, rows, output_format, config, "footprint")

    return routes


def table_response(columns: list[str], rows: list[dict[str, Any]], form: str, config: Config, name: str) -> Response:
    """Table in the requested format; a demonstration adds a column that marks it.

    Raises
    ------
    BadQuery
        If the format is unknown.
    """
    output_format = _parse_format(form, "")
    if config.demo:
        columns, rows = [*columns, "demonstration"], [{**row, "demonstration": True} for row in rows]
    headers = {"Cache-Control": "no-store"}
    if output_format is not Format.json:
        headers["Content-Disposition"] = f'attachment; filename="{name}.{output_format}"'
    return Response(render(columns, rows, output_format), media_type=_MEDIA_TYPES[output_format], headers=headers)


def _parse_format(form: str | None, accept: str) -> Format:
    if form is None:
        return next((candidate for candidate, media in _MEDIA_TYPES.items() if media.partition(";")[0] in accept), Format.json)
    if form not in {candidate.value for candidate in _MEDIA_TYPES}:
        raise BadQuery(f"format {form!r} is not known; it may be json, csv or parquet")
    return Format(form)
