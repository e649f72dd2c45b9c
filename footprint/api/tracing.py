"""This file answers where a published figure comes from, as ``footprint trace`` does."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from footprint.cli.tracing import document
from footprint.config import Config
from footprint.editions import tracing
from footprint.editions.shelf import NoSuchEdition
from footprint.store import Store


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """The route, over one store; drafts are not answered for."""
    routes = APIRouter()

    @routes.get("/api/v1/trace/{figure}", summary="From a published figure down to the readings")
    def trace(figure: str, edition: str = "", lang: str = "en", verify: bool = False) -> JSONResponse:
        try:
            found = tracing.find(store, config, figure, clock(), edition, drafts=False)
        except (tracing.NoSuchFigure, NoSuchEdition):
            return JSONResponse({"error": f"no published figure {figure!r}"}, 404)
        told = tracing.difference(found.figure, tracing.recomputed(store, config, found, clock())) if verify else None
        levels = tracing.follow(store, config, found, clock(), language="fr" if lang == "fr" else "en")
        return JSONResponse(document(found, levels, told))

    return routes
