"""This file knows the role of a request: where it comes from, a trusted proxy's header, or its session. Never a name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from footprint.access.roles import Role
from footprint.config import Config
from footprint.config.access import AccessRules, is_loopback

# What a proxy adds: a request that bears it did not begin on this machine, wherever it comes in.
_PROXIED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
_RANKS = tuple(Role)
SESSION_ROLE, SESSION_UNTIL = "role", "until"


def mode_of(config: Config) -> str:
    """How readers are known: as declared, else open on the loopback and public elsewhere."""
    return config.access.mode or ("open" if is_loopback(config.bind) else "public")


def startup_warning(config: Config) -> str:
    """What whoever starts a server must know of who may see what; empty where there is nothing to say."""
    if not config.access.mode and mode_of(config) == "public":
        return f"bound to {config.bind} without [access]: only what is public is shown; [access] declares who may see more"
    if config.access.mode == "open" and not is_loopback(config.bind):
        return f'bound to {config.bind} with access "open": whoever reaches this address administrates and sees every cell'
    return ""


def role_of_groups(rules: AccessRules, groups: Iterable[str]) -> Role:
    """The highest role of these groups, else the default one."""
    held = set(groups)
    found = [Role(role) for group, role in rules.roles if group in held]
    return max(found or [Role(rules.default_role)], key=_RANKS.index)


def authenticate(scope: Any, config: Config, now_us: int) -> Role:
    """The role of one request; whoever cannot be known is public."""
    mode = mode_of(config)
    if mode == "open":
        proxied = any(name.lower() in _PROXIED for name, _ in scope.get("headers", ()))
        return Role.PUBLIC if proxied and not config.access.mode else Role.ADMINISTRATOR
    if mode == "header":
        return _by_header(scope, config.access)
    if mode == "oidc":
        return _by_session(scope.get("session") or {}, now_us)
    return Role.PUBLIC


def _by_header(scope: Any, rules: AccessRules) -> Role:
    peer = (scope.get("client") or ("",))[0]
    wanted = rules.groups_header.lower().encode("latin-1")
    given = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == wanted]
    # Two headers of that name: the reader's own passed the proxy, and nobody can tell which is whose.
    if len(given) != 1 or not _trusted(peer, rules.trusted):
        return Role.PUBLIC
    return role_of_groups(rules, (group.strip() for group in given[0].replace(";", ",").split(",")))


def _trusted(peer: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(each) for each in networks)


def _by_session(session: Any, now_us: int) -> Role:
    role, until_us = session.get(SESSION_ROLE), session.get(SESSION_UNTIL)
    if role not in set(Role) or not isinstance(until_us, int) or until_us <= now_us:
        return Role.PUBLIC
    return Role(role)
