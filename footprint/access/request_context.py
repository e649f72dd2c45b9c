"""Context of the request in progress: the role of its reader, and the unprotected cells in its response."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from footprint.access.policy import Role

PAGE_KEY = "footprint.page"  # key of a scope whose path was rewritten: the page that the document is for
RECEIVED_KEY = "footprint.received"  # and the scope as it was received


@dataclass(slots=True)
class RequestContext:
    """Role of one request, and the unprotected cells in its response."""

    role: Role
    cells: list[str] = field(default_factory=list)


_current_context: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


@contextmanager
def request_context(role: Role) -> Iterator[RequestContext]:
    """Run a block as a request of a role."""
    context = RequestContext(role)
    token = _current_context.set(context)
    try:
        yield context
    finally:
        _current_context.reset(token)


def current_context() -> RequestContext:
    """Context of the current request; outside of one, a context of nobody."""
    return _current_context.get() or RequestContext(Role.NOBODY)


def current_role() -> Role:
    """Role of the current request; nobody outside of one."""
    return current_context().role


def record_access(cells: str) -> None:
    """Add data below service level to the audit log of the current request."""
    context = current_context()
    if context.role.sees_uses:
        context.cells.append(cells)
