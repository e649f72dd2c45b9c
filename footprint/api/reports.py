"""Routes of published editions: their list, their frozen files, and the release calendar."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from footprint.api.footprint import table_response
from footprint.config import Config
from footprint.editions import publications_page
from footprint.editions.release_calendar import COLUMNS as CALENDAR_COLUMNS
from footprint.editions.release_calendar import calendar_of_store
from footprint.editions.render import REPORT
from footprint.editions.repository import (
    CHECKSUMS_FILE,
    LIST_COLUMNS,
    PublishedEdition,
    edition_files,
    edition_folder,
    edition_row,
    published_editions,
)
from footprint.editions.withdrawal import withdrawal_of
from footprint.i18n.catalogue import LANGUAGES
from footprint.storage.database import Store

IMMUTABLE = "public, max-age=31536000, immutable"
# The HTML file of an edition is self-contained and runs no script.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
_MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json", ".csv": "text/csv; charset=utf-8"}


def router(config: Config, store: Store, clock: Callable[[], int]) -> APIRouter:
    """Routes over one store and its repository of editions."""
    routes = APIRouter()

    @routes.get("/api/v1/reports", summary="Published editions, every version")
    def reports(form: Annotated[str, Query(alias="format")] = "json") -> Response:
        rows = [edition_row(edition_) for edition_ in published_editions(store)]
        return table_response(list(LIST_COLUMNS), rows, form, config, "reports")

    @routes.get("/api/v1/reports/calendar", summary="Announced and actual release dates of editions")
    def announced(form: Annotated[str, Query(alias="format")] = "json") -> Response:
        rows = calendar_of_store(store, config, published_editions(store), clock())
        return table_response(list(CALENDAR_COLUMNS), rows, form, config, "calendar")

    @routes.get("/api/v1/reports/{period}", summary="Versions of one period, with their files")
    def of_period(period: str) -> JSONResponse:
        editions = published_editions(store, period)
        if not editions:
            return _not_found(f"no edition of {period!r} is published")
        versions = [{**edition_row(edition_), "files": _file_links(edition_)} for edition_ in editions]
        document: dict[str, Any] = {"period": period, "versions": versions}
        return JSONResponse({**document, "demonstration": True} if config.demo else document)

    @routes.get("/api/v1/reports/{period}/{version}", summary="One version as JSON: every figure, section and basis")
    def of_version(period: str, version: str) -> Response:
        return file(period, version, REPORT)

    @routes.get("/api/v1/reports/{period}/{version}/{name:path}", summary="File of a version, as published")
    def file(period: str, version: str, name: str) -> Response:
        published = _find_version(store, period, version)
        if published is not None and name == CHECKSUMS_FILE:
            return Response(published.sums(), media_type="text/plain; charset=utf-8", headers={"Cache-Control": IMMUTABLE})
        if published is None or name not in published.files:
            return _not_found(f"no file {name!r} in version {version!r} of {period!r}")
        if reason := withdrawal_of(store, published.name):
            last = published_editions(store, period)[-1]
            next_version = f"; {last.name} supersedes it" if last.version > published.version else ""
            message = f"{published.name} is withdrawn: {reason}{next_version}"
            return JSONResponse({"error": message}, status_code=410)
        return _frozen_file(config, published, name)

    @routes.get("/publications", include_in_schema=False)
    def publications(request: Request, lang: str = "") -> Response:
        language = lang if lang in LANGUAGES else _preferred_language(request.headers.get("accept-language", ""))
        return RedirectResponse(f"/editions/{publications_page.page_name(language)}", status_code=307)

    @routes.get("/editions/index.{language}.html", include_in_schema=False)
    def all_editions(language: str) -> Response:
        stored_files = edition_files(config)
        if language not in LANGUAGES:
            return _not_found(f"no page of editions in {language!r}")
        name = publications_page.page_name(language)
        content = (
            stored_files.read(name)
            if stored_files.exists(name)
            else publications_page.render_pages(store, config, clock())[language]
        )
        return Response(content, media_type=_MEDIA_TYPES[".html"], headers={"Content-Security-Policy": POLICY})

    @routes.get("/editions/{period}/{version}", include_in_schema=False)
    def edition(period: str, version: str, request: Request, lang: str = "") -> Response:
        language = lang if lang in ("fr", "en") else _preferred_language(request.headers.get("accept-language", ""))
        return RedirectResponse(f"/editions/{period}/{version}/{language}/report.html", status_code=307)

    @routes.get("/editions/{period}/{version}/{name:path}", include_in_schema=False)
    def shown(period: str, version: str, name: str) -> Response:
        """Serve the files side by side, so that links between them work."""
        return file(period, version, name)

    return routes


def _find_version(store: Store, period: str, version: str) -> PublishedEdition | None:
    return next((edition for edition in published_editions(store, period) if f"v{edition.version}" == version), None)


def _file_links(published: PublishedEdition) -> dict[str, dict[str, str]]:
    base_path = f"/api/v1/reports/{published.period}/v{published.version}"
    return {name: {"sha256": digest, "href": f"{base_path}/{name}"} for name, digest in sorted(published.files.items())}


def _not_found(message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=404)


def _frozen_file(config: Config, published: PublishedEdition, name: str) -> Response:
    """The published bytes of a file; an error if the stored file differs from its digest."""
    content = _read_file(config, published, name)
    if content is None or hashlib.sha256(content).hexdigest() != published.files[name]:
        message = f"the stored file {name} differs from the published one (`footprint report verify {published.name}`)"
        return JSONResponse({"error": message}, status_code=500)
    suffix = f".{name.rsplit('.', 1)[-1]}"
    media_type = _MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"Cache-Control": IMMUTABLE, "ETag": f'"{published.files[name]}"'}
    if suffix == ".html":
        headers["Content-Security-Policy"] = POLICY
    return Response(content, media_type=media_type, headers=headers)


def _read_file(config: Config, published: PublishedEdition, name: str) -> bytes | None:
    """Read a file from the repository; the report also from SQL, since a replica has no repository."""
    stored_files, path = edition_files(config), f"{edition_folder(published.period, published.version)}/{name}"
    if stored_files.exists(path):
        return stored_files.read(path)
    return published.report if name == REPORT else None


def _preferred_language(accept_language: str) -> str:
    """First of the two languages in ``Accept-Language``; by default French."""
    languages = [part.split(";")[0].strip().lower()[:2] for part in accept_language.split(",")]
    return next((language for language in languages if language in ("fr", "en")), "fr")
