"""Verification: rebuilds a published edition from the ledger and reports whether it is identical, or what differs."""

from __future__ import annotations

import hashlib
from typing import Any

from footprint.config import Config
from footprint.editions.collect import NoData
from footprint.editions.diff import compare_editions
from footprint.editions.publication import DIFF_FILE, draft_edition
from footprint.editions.render import render_files
from footprint.editions.repository import PublishedEdition, edition_files, edition_folder
from footprint.editions.serialization import from_json, to_json
from footprint.editions.withdrawal import withdrawal_of
from footprint.storage.database import Store

COLUMNS = ("what", "published", "found", "same")
MAX_FIGURE_ROWS = 20


def verify(store: Store, config: Config, published: PublishedEdition, now_us: int) -> list[dict[str, Any]]:
    """Rows of the comparison: figures, basis, files."""
    if reason := withdrawal_of(store, published.name):
        return [_row("withdrawn", f"{len(published.files)} files", reason, same=True)]
    try:
        rebuilt = draft_edition(store, config, published.period, now_us, published.context)
    except NoData as error:
        return [_row("ledger", "an edition", str(error), same=False)]
    document, raw = from_json(published.report), to_json(rebuilt.edition)
    if raw == published.report:
        rows = [_row("report", _short_digest(published.report), _short_digest(raw), same=True)]
    else:
        rows = _difference_rows(published, document, rebuilt)
    return rows + _file_rows(config, published)


def _short_digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


def _row(what: str, before: object, after: object, *, same: bool) -> dict[str, Any]:
    return {"what": what, "published": before, "found": after, "same": same}


def _difference_rows(published: PublishedEdition, document: Any, rebuilt: Any) -> list[dict[str, Any]]:
    """Rows of differing figures, then of their basis, then of the text."""
    ids = {key: figure.id for key, figure in rebuilt.figures.items()}
    rows = [
        _row(
            f"{difference.figure.id} {difference.figure.indicator} {difference.figure.period}",
            difference.old.value if difference.old else None,
            difference.new.value if difference.new else None,
            same=False,
        )
        for difference in compare_editions(document, published.figures, rebuilt.edition, ids)
    ]
    if len(rows) > MAX_FIGURE_ROWS:
        rows = [*rows[:MAX_FIGURE_ROWS], _row("further figures", len(rows) - MAX_FIGURE_ROWS, None, same=False)]
    for name in ("method_version", "factor_version", "ledger", "inputs", "heads"):
        before, after = getattr(document.basis, name), getattr(rebuilt.edition.basis, name)
        if before != after:
            short = (f"{len(before)} days", f"{len(after)} days") if name == "heads" else (before, after)
            rows.append(_row(name, *short, same=False))
    return rows or [
        _row("words of the report", _short_digest(published.report), _short_digest(to_json(rebuilt.edition)), same=False)
    ]


def _file_rows(config: Config, published: PublishedEdition) -> list[dict[str, Any]]:
    """Files in the edition store against their digests; where it lacks one, the file that this program would write."""
    released_files, folder = edition_files(config), edition_folder(published.period, published.version)
    rendered: dict[str, bytes] | None = None
    rows = []
    for name, digest in sorted(published.files.items()):
        if released_files.exists(f"{folder}/{name}"):
            digest_found = hashlib.sha256(released_files.read(f"{folder}/{name}")).hexdigest()
        elif name == DIFF_FILE:
            continue  # compares two versions; ``report diff`` writes it
        else:
            rendered = render_files(from_json(published.report)) if rendered is None else rendered
            digest_found = hashlib.sha256(rendered[name]).hexdigest() if name in rendered else "absent"
        rows.append(_row(name, digest[:16], digest_found[:16], same=digest_found == digest))
    return rows
