"""This file holds the roles, the table of permissions, and the one function that decides. Pure.

What is not in the table is shown to nobody, and answers as what does not exist: so hidden and missing cannot be told apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who somebody is to this service; nothing else of them is known or kept."""

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
        """Whether figures by use case are unprotected; each access to them is noted."""
        return self in (Role.OFFICER, Role.ADMINISTRATOR)


EVERYONE = frozenset(Role)
SIGNED_IN = EVERYONE - {Role.PUBLIC}
UNPROTECTED = frozenset({Role.OFFICER, Role.ENGINEER, Role.ADMINISTRATOR})
USES = frozenset({Role.OFFICER, Role.ADMINISTRATOR})
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})


@dataclass(frozen=True, slots=True)
class Permission:
    """Who may ask at an address (a regular expression of the whole path); ``noted``: its rows stand below service level."""

    path: str
    roles: frozenset[Role]
    noted: bool = False


# The first that matches decides. Figures that go through ``see`` are open to whoever it protects them for.
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
    Permission(r"/hosts|/sites|/readings|/efficiency|/api/v1/readings", UNPROTECTED),
    Permission(r"/api/v1/tables/(balance|splits|uncertainty|jobs|silent|steps|phases|models|alternatives)", UNPROTECTED),
    Permission(r"/api/v1/benchmarks", UNPROTECTED),
    Permission(r"/api/v1/tables/(avoidable|objectives)|/trace|/api/v1/trace(/.*)?", USES, noted=True),  # down to the readings
    Permission(r"/access|/api/v1/access", ADMINISTRATORS),
)
_COMPILED = tuple((re.compile(each.path), each) for each in PERMISSIONS)


def permission_of(path: str) -> Permission | None:
    """The rule of an address; None where there is none."""
    return next((each for pattern, each in _COMPILED if pattern.fullmatch(path)), None)


def allows(role: Role, path: str) -> bool:
    """Whether a role may ask at an address."""
    found = permission_of(path)
    return found is not None and role in found.roles
