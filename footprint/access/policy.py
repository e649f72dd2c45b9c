"""One policy of permission: which role may see which resource, by one table; pure.

Middlewares, routes, pages, callbacks, exports and metrics all ask ``decide``. A resource is the path of a route or page, or a
name with its kind in front: ``callback:power``, ``figures:use_case``, ``metrics:services``. A resource without a line in the
table is for nobody, and a path that a role may not see answers as one that does not exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Role of a reader; the service knows and stores nothing else about them. Outside of a request there is nobody."""

    NOBODY = "nobody"
    PUBLIC = "public"
    COMMITTEE = "committee"
    OFFICER = "officer"
    ENGINEER = "engineer"
    ADMINISTRATOR = "administrator"

    @property
    def sees_services(self) -> bool:
        """Whether figures by service, model, host and device are unprotected."""
        return decide(self, "figures:service").allow

    @property
    def sees_uses(self) -> bool:
        """Whether figures by use case are unprotected; each access to them is logged."""
        return decide(self, "figures:use_case").allow


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a role may see a resource, and why; the reason is for logs and tests, not for the reader."""

    allow: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allow


EVERYONE = frozenset(Role) - {Role.NOBODY}
SIGNED_IN = EVERYONE - {Role.PUBLIC}
SERVICE_ROLES = frozenset({Role.OFFICER, Role.ENGINEER, Role.ADMINISTRATOR})
USE_CASE_ROLES = frozenset({Role.OFFICER, Role.ADMINISTRATOR})
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})


@dataclass(frozen=True, slots=True)
class Permission:
    """Roles that may see resources (a regular expression of the whole name); ``audited``: their rows are below service level."""

    resources: str
    roles: frozenset[Role]
    audited: bool = False


# The first match decides. Paths whose figures pass through ``AuthorizedQueries`` are open to all roles that it masks for.
PERMISSIONS: tuple[Permission, ...] = (
    Permission(r"/healthz|/readyz|/metrics", EVERYONE),
    Permission(r"/assets/.+|/_dash-component-suites/.+|/_favicon\.ico|/favicon\.ico", EVERYONE),
    Permission(r"/_dash-(layout|dependencies|update-component)|/_reload-hash", EVERYONE),  # callbacks have lines of their own
    Permission(r"/auth/(login|callback|logout)", EVERYONE),
    Permission(r"/api/v1/ingest|/api/v1/openapi\.json", EVERYONE),  # ingest: by its own tokens
    Permission(r"/api/v1/reports(/.*)?|/editions(/.*)?|/publications", EVERYONE),
    Permission(r"/api/v1/tables/(methods|factors|bundles)|/api/v1/benchmarks/references", EVERYONE),
    Permission(r"/|/methods|/help", EVERYONE),  # the first page of the public is that of the editions
    Permission(r"/api/v1/footprint", SIGNED_IN),
    Permission(r"/use-cases|/services|/models|/charter|/compare|/explain|/quality", SIGNED_IN),
    Permission(r"/api/v1/tables/facts", SIGNED_IN),
    Permission(r"/hosts|/sites|/sensors|/readings|/efficiency|/api/v1/(readings|sensors)", SERVICE_ROLES),
    Permission(
        r"/api/v1/tables/(balance|splits|uncertainty|jobs|silent|calibrations|refused|steps|phases|models|alternatives)",
        SERVICE_ROLES,
    ),
    Permission(r"/api/v1/tables/(log-quality|sensors|units)", SERVICE_ROLES),
    Permission(r"/api/v1/benchmarks", SERVICE_ROLES),
    Permission(
        r"/api/v1/tables/(avoidable|objectives)|/trace|/api/v1/trace(/.*)?", USE_CASE_ROLES, audited=True
    ),  # down to the readings
    Permission(r"/access|/api/v1/access", ADMINISTRATORS),
    # Callbacks of the pages, by the identifier of their first output. What a card holds is decided again by its page.
    Permission(r"callback:(header|card|tick)", EVERYONE),
    Permission(r"callback:(power|live)", SERVICE_ROLES),
    # Figures without disclosure control, names and counters, wherever they stand.
    Permission(r"figures:service|metrics:service|facts:host", SERVICE_ROLES),
    Permission(r"figures:use_case|names:undeclared_use_case", USE_CASE_ROLES),
    Permission(r"figures:protected", SIGNED_IN),
)
_PATTERNS = tuple((re.compile(permission.resources), permission) for permission in PERMISSIONS)


def permission_of(resource: str) -> Permission | None:
    """First line of the table that matches a resource, if any."""
    return next((permission for pattern, permission in _PATTERNS if pattern.fullmatch(resource)), None)


def decide(role: Role, resource: str) -> Decision:
    """Decide whether a role may see a resource."""
    permission = permission_of(resource)
    if permission is None:
        return Decision(False, f"{resource} has no line in the table of permissions")
    if role not in permission.roles:
        return Decision(False, f"{resource} is not for the role {role}")
    return Decision(True, f"{resource} is for the role {role}")


def allows(role: Role, resource: str) -> bool:
    """Whether a role may see a resource."""
    return decide(role, resource).allow
