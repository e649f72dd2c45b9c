"""This file answers for the access log: GET /api/v1/access, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from footprint.access.audit_log import COLUMNS, read
from footprint.api.footprint import answer_with
from footprint.config import Config
from footprint.figures import parse_query
from footprint.storage.database import Store


def router(config: Config, store: Store) -> APIRouter:
    """The route, over one store."""
    routes = APIRouter()

    @routes.get("/api/v1/access", summary="Accesses to unprotected cells: when, in which role, to what; never who")
    def access(
        from_: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
        form: Annotated[str, Query(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        asked = parse_query(config.timezone, from_=from_, to=to)
        return answer_with(list(COLUMNS), read(store, asked.from_us, asked.to_us), form, config, "access")

    return routes
