"""Roles and the table of permissions by path; pure.

Unlisted paths return 404, so that forbidden and missing pages look the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Role of a reader; the service knows and stores nothing else about them."""

    PUBLIC = "public"
    COMMITTEE = "committee"
    OFFICER = "officer"
    ENGINEER = "engineer"
    ADMINISTRATOR = "administrator"

    @property
    def sees_services(self) -> bool:
        """Whether figures by service, model, host and device are unprotected."""
        return self in (Role.OFFICER, Role.ENGINEER, Role.ADMINISTRATOR)

    @property
    def sees_uses(self) -> bool:
        """Whether figures by use case are unprotected; each access to them is logged."""
        return self in (Role.OFFICER, Role.ADMINISTRATOR)


EVERYONE = frozenset(Role)
SIGNED_IN = EVERYONE - {Role.PUBLIC}
SERVICE_ROLES = frozenset({Role.OFFICER, Role.ENGINEER, Role.ADMINISTRATOR})
USE_CASE_ROLES = frozenset({Role.OFFICER, Role.ADMINISTRATOR})
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})


@dataclass(frozen=True, slots=True)
class Permission:
    """Roles that may request a path (a regular expression of all of it); ``audited``: its rows are below service level."""

    path: str
    roles: frozenset[Role]
    audited: bool = False


# The first match decides. Paths whose figures pass through ``authorize_answer`` are open to all roles that it masks for.
PERMISSIONS: tuple[Permission, ...] = (
    Permission(r"/healthz|/readyz|/metrics", EVERYONE),
    Permission(r"/(assets|_dash|_reload|_favicon|favicon)[^?]*", EVERYONE),
    Permission(r"/auth/(login|callback|logout)", EVERYONE),
    Permission(r"/api/v1/ingest|/api/v1/openapi\.json", EVERYONE),  # ingest: by its own tokens
    Permission(r"/api/v1/reports(/.*)?|/editions(/.*)?|/publications", EVERYONE),
    Permission(r"/api/v1/tables/(methods|factors|bundles)|/api/v1/benchmarks/references", EVERYONE),
    Permission(r"/|/methods|/help", EVERYONE),  # the first page of the public is that of the editions
    Permission(r"/api/v1/footprint", SIGNED_IN),
    Permission(r"/use-cases|/services|/models|/charter|/compare|/explain|/quality", SIGNED_IN),
    Permission(r"/api/v1/tables/facts", SIGNED_IN),
    Permission(r"/hosts|/sites|/readings|/efficiency|/api/v1/readings", SERVICE_ROLES),
    Permission(
        r"/api/v1/tables/(balance|splits|uncertainty|jobs|silent|refused|steps|phases|models|alternatives)", SERVICE_ROLES
    ),
    Permission(r"/api/v1/benchmarks", SERVICE_ROLES),
    Permission(
        r"/api/v1/tables/(avoidable|objectives)|/trace|/api/v1/trace(/.*)?", USE_CASE_ROLES, audited=True
    ),  # down to the readings
    Permission(r"/access|/api/v1/access", ADMINISTRATORS),
)
_PATTERNS = tuple((re.compile(permission.path), permission) for permission in PERMISSIONS)


def permission_of(path: str) -> Permission | None:
    """First permission that matches a path, if any."""
    return next((permission for pattern, permission in _PATTERNS if pattern.fullmatch(path)), None)


def allows(role: Role, path: str) -> bool:
    """Whether a role may request a path."""
    permission = permission_of(path)
    return permission is not None and role in permission.roles
