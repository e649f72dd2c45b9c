"""Sessions of signed-in readers, in the store: a random identifier in a cookie, and a digest of it with a role and an end.

A session that ends is deleted, so its cookie is worth nothing, at every server of the store and after a restart.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import delete, func, select

from footprint.access.policy import Role
from footprint.core.secret_files import new_token
from footprint.storage import schema
from footprint.storage.database import Store, table

MAX_SESSIONS = 10_000  # beyond it the oldest end
MAX_ID_LENGTH = 100  # characters of a cookie that is looked up


def _digest(session_id: str) -> str:
    # Identifiers are 256 random bits: a plain digest cannot be reversed by guessing.
    return hashlib.sha256(session_id.encode()).hexdigest()


def start_session(store: Store, role: Role, now_us: int, until_us: int) -> str:
    """Start a session; only this call returns its identifier. Expired sessions are deleted."""
    session_id, target = new_token(), table(schema.Session)
    with store.begin() as connection:
        connection.execute(delete(target).where(target.c.until_us <= now_us))
        surplus = int(connection.execute(select(func.count()).select_from(target)).scalar_one()) - MAX_SESSIONS + 1
        if surplus > 0:
            oldest = select(target.c.digest).order_by(target.c.started_us, target.c.digest).limit(surplus)
            connection.execute(delete(target).where(target.c.digest.in_(oldest)))
        row = {"digest": _digest(session_id), "role": role.value, "started_us": now_us, "until_us": until_us}
        store.insert_new(connection, schema.Session, [row])
    return session_id


def role_of_session(store: Store, session_id: str, now_us: int) -> Role:
    """Role of a session; public if it ended or never was."""
    if not session_id or len(session_id) > MAX_ID_LENGTH:
        return Role.PUBLIC
    target = table(schema.Session)
    query = select(target.c.role).where(target.c.digest == _digest(session_id), target.c.until_us > now_us)
    with store.read() as connection:
        role = connection.execute(query).scalar()
    return Role(role) if role in set(Role) - {Role.NOBODY} else Role.PUBLIC


def end_session(store: Store, session_id: str) -> None:
    """End a session, if there is one."""
    target = table(schema.Session)
    with store.begin() as connection:
        connection.execute(delete(target).where(target.c.digest == _digest(session_id)))


def end_all_sessions(store: Store) -> int:
    """End every session; return their number."""
    with store.begin() as connection:
        return int(connection.execute(delete(table(schema.Session))).rowcount)
