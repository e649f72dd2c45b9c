"""Route of the audit log: GET /api/v1/access, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from footprint.access.audit_log import COLUMNS, read_accesses
from footprint.api.footprint import table_response
from footprint.config import Config
from footprint.figures import parse_query
from footprint.storage.database import Store


def router(config: Config, store: Store) -> APIRouter:
    """The route, over one store."""
    routes = APIRouter()

    @routes.get("/api/v1/access", summary="Audit log of accesses to unprotected cells: time, role and request, without names")
    def access(
        from_: Annotated[str | None, Query(alias="from")] = None,
        to: str | None = None,
        form: Annotated[str, Query(alias="format", description="json, csv or parquet")] = "json",
    ) -> Response:
        query = parse_query(config.timezone, from_=from_, to=to)
        return table_response(list(COLUMNS), read_accesses(store, query.from_us, query.to_us), form, config, "access")

    return routes
