"""Authentication: the role of a request by its origin, a trusted proxy's header, or its session; never a name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from footprint.access.roles import Role
from footprint.config import Config
from footprint.config.access import AccessRules, is_loopback

# Headers that a proxy adds: a request with one of them did not start on this machine, even if it arrives on the loopback.
_PROXY_HEADERS = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
_RANKS = tuple(Role)
SESSION_ROLE, SESSION_UNTIL = "role", "until"


def access_mode(config: Config) -> str:
    """Mode of authentication: as declared, else open on the loopback interface and public elsewhere."""
    return config.access.mode or ("open" if is_loopback(config.bind) else "public")


def startup_warning(config: Config) -> str:
    """Warning about the access mode for the person who starts a server; empty if there is none."""
    if not config.access.mode and access_mode(config) == "public":
        return f"bound to {config.bind} without [access]: only public pages are shown; [access] declares who may see more"
    if config.access.mode == "open" and not is_loopback(config.bind):
        return (
            f'bound to {config.bind} with access "open": everyone who reaches this address is administrator and sees every cell'
        )
    return ""


def role_of_groups(rules: AccessRules, groups: Iterable[str]) -> Role:
    """Highest role of the groups, else the default role."""
    members = set(groups)
    roles = [Role(role) for group, role in rules.roles if group in members]
    return max(roles or [Role(rules.default_role)], key=_RANKS.index)


def authenticate(scope: Any, config: Config, now_us: int) -> Role:
    """Role of a request; public if it cannot be authenticated."""
    mode = access_mode(config)
    if mode == "open":
        is_proxied = any(name.lower() in _PROXY_HEADERS for name, _ in scope.get("headers", ()))
        return Role.PUBLIC if is_proxied and not config.access.mode else Role.ADMINISTRATOR
    if mode == "header":
        return _role_from_header(scope, config.access)
    if mode == "oidc":
        return _role_from_session(scope.get("session") or {}, now_us)
    return Role.PUBLIC


def _role_from_header(scope: Any, rules: AccessRules) -> Role:
    peer = (scope.get("client") or ("",))[0]
    header_name = rules.groups_header.lower().encode("latin-1")
    values = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == header_name]
    # With two headers of that name, the reader's own passed the proxy, and they cannot be told apart.
    if len(values) != 1 or not _is_trusted(peer, rules.trusted):
        return Role.PUBLIC
    return role_of_groups(rules, (group.strip() for group in values[0].replace(";", ",").split(",")))


def _is_trusted(peer: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network) for network in networks)


def _role_from_session(session: Any, now_us: int) -> Role:
    role, until_us = session.get(SESSION_ROLE), session.get(SESSION_UNTIL)
    if role not in set(Role) or not isinstance(until_us, int) or until_us <= now_us:
        return Role.PUBLIC
    return Role(role)
