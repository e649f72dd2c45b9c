"""Route GET /api/v1/trace/{figure}: the provenance of a published figure, as ``footprint trace`` gives it."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from footprint.config import Config
from footprint.editions import provenance
from footprint.editions.repository import NoSuchEdition
from footprint.storage.database import Store


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """Route over one store; it does not trace drafts."""
    routes = APIRouter()

    @routes.get("/api/v1/trace/{figure}", summary="Provenance of a published figure, down to the readings")
    def trace(figure: str, edition: str = "", lang: str = "en", verify: bool = False) -> JSONResponse:
        try:
            located = provenance.find_figure(store, config, figure, clock(), edition, drafts=False)
        except (provenance.NoSuchFigure, NoSuchEdition):
            return JSONResponse({"error": f"no published figure {figure!r}"}, 404)
        difference = (
            provenance.describe_difference(located.figure, provenance.recompute(store, config, located, clock()))
            if verify
            else None
        )
        levels = provenance.trace_figure(store, config, located, clock(), language="fr" if lang == "fr" else "en")
        return JSONResponse(provenance.trace_document(located, levels, difference))

    return routes
