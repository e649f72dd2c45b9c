"""This file gives out the tokens with which agents ship; only their digests are kept, and each writes for one host."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from sqlalchemy import select, update

from footprint.core.records import FootprintError
from footprint.storage import schema
from footprint.storage.database import Store, table


class NoSuchToken(FootprintError):
    """A host that has no token to revoke."""


def _digest(token: str) -> str:
    # Tokens are 256 random bits: a plain digest cannot be guessed backwards.
    return hashlib.sha256(token.encode()).hexdigest()


def add_token(store: Store, host: str, now_us: int) -> str:
    """A new token for a host, which replaces the one before; it is told once and kept as a digest."""
    token = f"fp_{secrets.token_urlsafe(32)}"
    row = {"host": host, "digest": _digest(token), "created_us": now_us, "revoked_us": None}
    with store.begin() as connection:
        store.upsert(connection, schema.Token, [row])
        store.record_event(connection, now_us, "token", f"token added for {host}")
    return token


def host_of(store: Store, token: str) -> str | None:
    """The host that a token writes for; None where it is unknown or revoked."""
    target = table(schema.Token)
    with store.read() as connection:
        found = connection.execute(
            select(target.c.host).where(target.c.digest == _digest(token), target.c.revoked_us.is_(None))
        ).first()
    return None if found is None else str(found.host)


def list_tokens(store: Store) -> list[dict[str, Any]]:
    """Hosts with the dates of their tokens."""
    target = table(schema.Token)
    columns = select(target.c.host, target.c.created_us, target.c.revoked_us).order_by(target.c.host)
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(columns)]


def revoke_token(store: Store, host: str, now_us: int) -> None:
    """Refuse a host's token from now on.

    Raises
    ------
    NoSuchToken
        If the host has none that is valid.
    """
    target = table(schema.Token)
    with store.begin() as connection:
        changed = connection.execute(
            update(target).where(target.c.host == host, target.c.revoked_us.is_(None)).values(revoked_us=now_us)
        ).rowcount
        if not changed:
            raise NoSuchToken(f"no valid token for {host}; `footprint token list` shows them")
        store.record_event(connection, now_us, "token", f"token of {host} revoked")
