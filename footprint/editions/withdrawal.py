"""Withdrawal of an edition that prints a name of a person: its files are erased, its digests and figures stay."""

from __future__ import annotations

import json
import zlib
from typing import Any

from sqlalchemy import select, update

from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.editions.repository import CHECKSUMS_FILE, PublishedEdition, edition_files, edition_folder
from footprint.ledger.name_replacement import text_replacer
from footprint.storage import schema
from footprint.storage.database import Store, table

KEY = "withdrawn_edition "  # before the name of an edition: keys in Meta


class NotWithdrawable(FootprintError):
    """An edition that cannot be withdrawn; the message says why."""


def editions_with_name(store: Store, name: str) -> list[str]:
    """Names of the published editions whose content holds a name."""
    editions, replace = table(schema.PublishedEditionRow), text_replacer(name, "")
    with store.read() as connection:
        rows = connection.execute(select(editions).order_by(editions.c.period, editions.c.version)).all()
    contents = ((f"{row.period}.v{row.version}", zlib.decompress(bytes(row.content)).decode()) for row in rows)
    return [edition for edition, content in contents if replace(content) != content]


def withdrawal_of(store: Store, edition: str) -> str:
    """Reason why an edition was withdrawn; empty if it was not."""
    meta = table(schema.Meta)
    with store.read() as connection:
        return str(connection.execute(select(meta.c.value).where(meta.c.key == KEY + edition)).scalar() or "")


def withdraw_edition(
    store: Store, config: Config, published: PublishedEdition, old: str, new: str, reason: str, now_us: int
) -> int:
    """Erase the files of a version and replace a name in its content; return the number of files.

    The content stays otherwise: later editions need to know which cells it showed and hid. The next version of the period may
    then be published although no figure changed.

    Raises
    ------
    NotWithdrawable
        If the new name or the reason repeats the old one.
    """
    replace = text_replacer(old, new)
    if replace(f"{new} {reason}") != f"{new} {reason}":
        raise NotWithdrawable("the new name or the reason repeats the old name, which is to be nowhere any more")
    editions = table(schema.PublishedEditionRow)
    with store.exclusive_lock("publish", wait=True):
        of_version = (editions.c.period == published.period) & (editions.c.version == published.version)
        with store.begin() as connection:
            packed = connection.execute(select(editions.c.content).where(of_version)).scalar_one()
            content = _replaced(json.loads(zlib.decompress(bytes(packed))), replace)
            raw = zlib.compress(json.dumps(content, sort_keys=True, ensure_ascii=False).encode(), 9)
            connection.execute(update(editions).where(of_version).values(content=raw))
            store.upsert(connection, schema.Meta, [{"key": KEY + published.name, "value": reason}])
            store.record_event(connection, now_us, "withdrawn", f"files of {published.name}: {reason}")
        files, folder = edition_files(config), edition_folder(published.period, published.version)
        erased = [name for name in published.files if files.exists(f"{folder}/{name}")]
        for name in erased:
            files.erase(f"{folder}/{name}")
        files.write(f"{folder}/{CHECKSUMS_FILE}", published.sums())
    return len(erased)


def _replaced(value: Any, replace: Any) -> Any:
    """A JSON value with a name replaced in all texts and keys; the report is JSON in a text."""
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [_replaced(item, replace) for item in value]
    if isinstance(value, dict):
        return {replace(key): _replaced(item, replace) for key, item in value.items()}
    return value
