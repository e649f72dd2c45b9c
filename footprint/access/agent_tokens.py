"""Tokens with which agents ship records: each writes for one host and some services, and only its digest is stored."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from footprint.core.limits import name_fault
from footprint.core.records import FootprintError
from footprint.storage import schema
from footprint.storage.database import Store, table


class BadName(FootprintError):
    """A host or a service with a name that no record can bear."""


class NoSuchToken(FootprintError):
    """A host that has no token to revoke."""


@dataclass(frozen=True, slots=True)
class TokenScope:
    """What a token may write: readings of ``host``, and requests of ``services`` beside those of the host; ``*`` is all."""

    host: str
    services: tuple[str, ...] = ()


def _digest(token: str) -> str:
    # Tokens are 256 random bits: a plain digest cannot be reversed by guessing.
    return hashlib.sha256(token.encode()).hexdigest()


def add_token(store: Store, host: str, now_us: int, services: Sequence[str] = ()) -> str:
    """Create a token for a host in place of an earlier one; only this call returns it, the store keeps a digest."""
    for name in (host, *services):
        if fault := name_fault(name):
            raise BadName(f"a name {fault}")
    token = f"fp_{secrets.token_urlsafe(32)}"
    row = {"host": host, "digest": _digest(token), "created_us": now_us, "revoked_us": None, "services": json.dumps(services)}
    with store.begin() as connection:
        store.upsert(connection, schema.Token, [row])
        of_services = f", services {', '.join(services)}" if services else ""
        store.record_event(connection, now_us, "token", f"token added for {host}{of_services}")
    return token


def scope_of(store: Store, token: str) -> TokenScope | None:
    """What a token may write; None if the token is unknown or revoked."""
    target = table(schema.Token)
    with store.read() as connection:
        row = connection.execute(
            select(target.c.host, target.c.services).where(target.c.digest == _digest(token), target.c.revoked_us.is_(None))
        ).first()
    return None if row is None else TokenScope(str(row.host), tuple(json.loads(row.services)))


def host_of(store: Store, token: str) -> str | None:
    """Host that a token writes for; None if the token is unknown or revoked."""
    scope = scope_of(store, token)
    return None if scope is None else scope.host


def list_tokens(store: Store) -> list[dict[str, Any]]:
    """Hosts with the services and dates of their tokens, by name of the host."""
    target = table(schema.Token)
    query = select(target.c.host, target.c.services, target.c.created_us, target.c.revoked_us).order_by(target.c.host)
    with store.read() as connection:
        rows = [dict(row._mapping) for row in connection.execute(query)]
    return [row | {"services": json.loads(row["services"])} for row in rows]


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
