"""Tokens with which agents ship records: each writes for one host, and only its digest is stored."""

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
    # Tokens are 256 random bits: a plain digest cannot be reversed by guessing.
    return hashlib.sha256(token.encode()).hexdigest()


def add_token(store: Store, host: str, now_us: int) -> str:
    """Create a token for a host in place of an earlier one; only this call returns it, the store keeps a digest."""
    token = f"fp_{secrets.token_urlsafe(32)}"
    row = {"host": host, "digest": _digest(token), "created_us": now_us, "revoked_us": None}
    with store.begin() as connection:
        store.upsert(connection, schema.Token, [row])
        store.record_event(connection, now_us, "token", f"token added for {host}")
    return token


def host_of(store: Store, token: str) -> str | None:
    """Host that a token writes for; None if the token is unknown or revoked."""
    target = table(schema.Token)
    with store.read() as connection:
        row = connection.execute(
            select(target.c.host).where(target.c.digest == _digest(token), target.c.revoked_us.is_(None))
        ).first()
    return None if row is None else str(row.host)


def list_tokens(store: Store) -> list[dict[str, Any]]:
    """Hosts with the dates of their tokens, by name of the host."""
    target = table(schema.Token)
    query = select(target.c.host, target.c.created_us, target.c.revoked_us).order_by(target.c.host)
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def revoke_token(store: Store, host: str, now_us: int) -> None:
    """Revoke a host's token.

    Raises
    ------
    NoSuchToken
        If the host has no valid token.
    """
    target = table(schema.Token)
    with store.begin() as connection:
        revoked_count = connection.execute(
            update(target).where(target.c.host == host, target.c.revoked_us.is_(None)).values(revoked_us=now_us)
        ).rowcount
        if not revoked_count:
            raise NoSuchToken(f"no valid token for {host}; `footprint token list` shows them")
        store.record_event(connection, now_us, "token", f"token of {host} revoked")
