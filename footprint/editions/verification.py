"""This file builds a published edition again from the ledger, and says whether it is the same, or what differs."""

from __future__ import annotations

import hashlib
from typing import Any

from footprint.config import Config
from footprint.editions.collect import NoData
from footprint.editions.diff import compare_editions
from footprint.editions.publication import DIFF_FILE, draft_edition
from footprint.editions.render import render_files
from footprint.editions.repository import PublishedEdition, edition_folder, edition_store
from footprint.editions.serialization import from_json, to_json
from footprint.storage.database import Store

COLUMNS = ("what", "published", "found", "same")
MAX_FIGURE_ROWS = 20


def verify(store: Store, config: Config, published: PublishedEdition, now_us: int) -> list[dict[str, Any]]:
    """Rows of what was compared: figures, basis, files. All the same is ``identical``."""
    try:
        again = draft_edition(store, config, published.period, now_us, published.context)
    except NoData as bad:
        return [_row("ledger", "an edition", str(bad), same=False)]
    told, raw = from_json(published.report), to_json(again.edition)
    if raw == published.report:
        rows = [_row("report", _short(published.report), _short(raw), same=True)]
    else:
        rows = _what_differs(published, told, again)
    return rows + _files(config, published)


def _short(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


def _row(what: str, before: object, after: object, *, same: bool) -> dict[str, Any]:
    return {"what": what, "published": before, "found": after, "same": same}


def _what_differs(published: PublishedEdition, told: Any, again: Any) -> list[dict[str, Any]]:
    """Figures first, then what they rest on, then words."""
    ids = {key: figure.id for key, figure in again.figures.items()}
    rows = [
        _row(
            f"{each.figure.id} {each.figure.indicator} {each.figure.period}",
            each.old.value if each.old else None,
            each.new.value if each.new else None,
            same=False,
        )
        for each in compare_editions(told, published.figures, again.edition, ids)
    ]
    if len(rows) > MAX_FIGURE_ROWS:
        rows = [*rows[:MAX_FIGURE_ROWS], _row("further figures", len(rows) - MAX_FIGURE_ROWS, None, same=False)]
    for name in ("method_version", "factor_version", "ledger", "inputs", "heads"):
        before, after = getattr(told.basis, name), getattr(again.edition.basis, name)
        if before != after:
            short = (f"{len(before)} days", f"{len(after)} days") if name == "heads" else (before, after)
            rows.append(_row(name, *short, same=False))
    return rows or [_row("words of the report", _short(published.report), _short(to_json(again.edition)), same=False)]


def _files(config: Config, published: PublishedEdition) -> list[dict[str, Any]]:
    """Files on the shelf against their digests; where the shelf lacks them, those that the program would write."""
    vault, folder = edition_store(config), edition_folder(published.period, published.version)
    drawn: dict[str, bytes] | None = None
    rows = []
    for name, digest in sorted(published.files.items()):
        if vault.exists(f"{folder}/{name}"):
            found = hashlib.sha256(vault.read(f"{folder}/{name}")).hexdigest()
        elif name == DIFF_FILE:
            continue  # of two versions; ``report diff`` writes it
        else:
            drawn = render_files(from_json(published.report)) if drawn is None else drawn
            found = hashlib.sha256(drawn[name]).hexdigest() if name in drawn else "absent"
        rows.append(_row(name, digest[:16], found[:16], same=found == digest))
    return rows
