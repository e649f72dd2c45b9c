"""This file serves published editions: what was published, its files as they were frozen, and the release calendar."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from footprint.api.footprint import answer_with
from footprint.config import Config
from footprint.editions import publications_page
from footprint.editions.release_calendar import COLUMNS as CALENDAR_COLUMNS
from footprint.editions.release_calendar import release_rows
from footprint.editions.render import REPORT
from footprint.editions.repository import (
    CHECKSUMS_FILE,
    LIST_COLUMNS,
    PublishedEdition,
    edition_folder,
    edition_row,
    edition_store,
    published_editions,
)
from footprint.storage.database import Store

FOREVER = "public, max-age=31536000, immutable"
# An edition is one file: it loads nothing and runs nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json", ".csv": "text/csv; charset=utf-8"}


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """The routes, over one store and its shelf."""
    routes = APIRouter()

    @routes.get("/api/v1/reports", summary="Published editions, every version")
    def reports(form: Annotated[str, Query(alias="format")] = "json") -> Response:
        rows = [edition_row(each) for each in published_editions(store)]
        return answer_with(list(LIST_COLUMNS), rows, form, config, "reports")

    @routes.get("/api/v1/reports/calendar", summary="When editions are announced for, and when they came")
    def announced(form: Annotated[str, Query(alias="format")] = "json") -> Response:
        rows = release_rows(config, published_editions(store), clock())
        return answer_with(list(CALENDAR_COLUMNS), rows, form, config, "calendar")

    @routes.get("/api/v1/reports/{period}", summary="Versions of one period, with their files")
    def of_period(period: str) -> JSONResponse:
        found = published_editions(store, period)
        if not found:
            return _absent(f"no edition of {period!r} is published")
        versions = [{**edition_row(each), "files": _files(each)} for each in found]
        told: dict[str, Any] = {"period": period, "versions": versions}
        return JSONResponse({**told, "demonstration": True} if config.demo else told)

    @routes.get("/api/v1/reports/{period}/{version}", summary="One version as JSON: every figure, section and basis")
    def of_version(period: str, version: str) -> Response:
        return file(period, version, REPORT)

    @routes.get("/api/v1/reports/{period}/{version}/{name:path}", summary="A file of a version, as it was frozen")
    def file(period: str, version: str, name: str) -> Response:
        published = _published(store, period, version)
        if published is not None and name == CHECKSUMS_FILE:
            return Response(published.sums(), media_type="text/plain; charset=utf-8", headers={"Cache-Control": FOREVER})
        if published is None or name not in published.files:
            return _absent(f"no file {name!r} in version {version!r} of {period!r}")
        return _frozen(config, published, name)

    @routes.get("/publications", include_in_schema=False)
    def publications(request: Request, lang: str = "") -> Response:
        language = lang if lang in publications_page.LANGUAGES else _preferred(request.headers.get("accept-language", ""))
        return RedirectResponse(f"/editions/{publications_page.page_name(language)}", status_code=307)

    @routes.get("/editions/index.{language}.html", include_in_schema=False)
    def all_editions(language: str) -> Response:
        vault = edition_store(config)
        if language not in publications_page.LANGUAGES:
            return _absent(f"no page of editions in {language!r}")
        name = publications_page.page_name(language)
        raw = vault.read(name) if vault.exists(name) else publications_page.render_pages(store, config, clock())[language]
        return Response(raw, media_type=_TYPES[".html"], headers={"Content-Security-Policy": POLICY})

    @routes.get("/editions/{period}/{version}", include_in_schema=False)
    def edition(period: str, version: str, request: Request, lang: str = "") -> Response:
        language = lang if lang in ("fr", "en") else _preferred(request.headers.get("accept-language", ""))
        return RedirectResponse(f"/editions/{period}/{version}/{language}/report.html", status_code=307)

    @routes.get("/editions/{period}/{version}/{name:path}", include_in_schema=False)
    def shown(period: str, version: str, name: str) -> Response:
        """As the files lie beside each other, so that links between them hold."""
        return file(period, version, name)

    return routes


def _published(store: Store, period: str, version: str) -> PublishedEdition | None:
    return next((each for each in published_editions(store, period) if f"v{each.version}" == version), None)


def _files(published: PublishedEdition) -> dict[str, dict[str, str]]:
    at = f"/api/v1/reports/{published.period}/v{published.version}"
    return {name: {"sha256": digest, "href": f"{at}/{name}"} for name, digest in sorted(published.files.items())}


def _absent(said: str) -> JSONResponse:
    return JSONResponse({"error": said}, status_code=404)


def _frozen(config: Config, published: PublishedEdition, name: str) -> Response:
    """The bytes that were published; anything else under that name is an error, never an answer."""
    raw = _read(config, published, name)
    if raw is None or hashlib.sha256(raw).hexdigest() != published.files[name]:
        said = f"{name} on the shelf is not what was published (`footprint report verify {published.name}`)"
        return JSONResponse({"error": said}, status_code=500)
    suffix = f".{name.rsplit('.', 1)[-1]}"
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"Cache-Control": FOREVER, "ETag": f'"{published.files[name]}"'}
    if suffix == ".html":
        headers["Content-Security-Policy"] = POLICY
    return Response(raw, media_type=kind, headers=headers)


def _read(config: Config, published: PublishedEdition, name: str) -> bytes | None:
    """From the shelf; the report itself also from SQL, where a replica has no shelf."""
    vault, place = edition_store(config), f"{edition_folder(published.period, published.version)}/{name}"
    if vault.exists(place):
        return vault.read(place)
    return published.report if name == REPORT else None


def _preferred(accepted: str) -> str:
    """The first of the two languages that a reader names; French where none is."""
    named = [part.split(";")[0].strip().lower()[:2] for part in accepted.split(",")]
    return next((language for language in named if language in ("fr", "en")), "fr")
