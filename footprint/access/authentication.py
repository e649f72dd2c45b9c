"""Authentication: the role of a request by its token, a trusted proxy's header, or its session; never a name."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from starlette.authentication import AuthCredentials, BaseUser

from footprint.access.open_mode import OpenDoor, load_token, opening_link, token_file
from footprint.access.policy import Role
from footprint.access.sessions import role_of_session
from footprint.config import Config
from footprint.config.access import AccessRules, is_loopback
from footprint.core.secret_files import read_secret
from footprint.storage.database import Store

_RANKS = tuple(Role)
Headers = dict[str, list[str]]  # values by lower-case name


class Reader(BaseUser):
    """The user of a request: a role, and nothing else."""

    def __init__(self, role: Role) -> None:
        self.role = role

    @property
    def is_authenticated(self) -> bool:
        """Whether the reader is more than public."""
        return self.role not in (Role.NOBODY, Role.PUBLIC)

    @property
    def display_name(self) -> str:
        """Name of the role."""
        return self.role.value

    @property
    def identity(self) -> str:
        """Name of the role."""
        return self.role.value

    def credentials(self) -> AuthCredentials:
        """Scopes of the reader: the role."""
        return AuthCredentials([self.role.value])


def access_mode(config: Config) -> str:
    """Mode of authentication: as declared, else open on the loopback interface and public elsewhere."""
    return config.access.mode or ("open" if is_loopback(config.bind) else "public")


def needs_token(config: Config) -> bool:
    """Whether the administrator of open mode is the holder of a token: unless the mode is written out."""
    return access_mode(config) == "open" and not config.access.mode


def startup_warning(config: Config) -> str:
    """Warning about the access mode for the person who starts a server; empty if there is none."""
    if not config.access.mode and access_mode(config) == "public":
        return f"bound to {config.bind} without [access]: only public pages are shown; [access] declares who may see more"
    if config.access.mode == "open":
        return (
            'access "open" is written out: everyone who reaches this service as localhost is administrator and sees every cell, '
            "every user of this machine and every proxy on it that hides the Host of its visitors included"
        )
    return ""


def administrator_link(config: Config, port: int) -> str:
    """Link that opens the service of a configuration as administrator, where open mode needs the token of a first start.

    Raises
    ------
    SecretFileError
        If there is no token yet, or it cannot be read.
    """
    host = f"[{config.bind}]" if ":" in config.bind else config.bind
    token = read_secret(token_file(config.store_url, config.path), "the token, which the first start of the service makes,")
    return opening_link(f"http://{host}:{port}", token)


def role_of_groups(rules: AccessRules, groups: Iterable[str]) -> Role:
    """Highest role of the groups, else the default role."""
    members = set(groups)
    roles = [Role(role) for group, role in rules.roles if group in members]
    return max(roles or [Role(rules.default_role)], key=_RANKS.index)


def headers_of(scope: Any) -> Headers:
    """Headers of a request by lower-case name."""
    headers: Headers = {}
    for name, value in scope.get("headers", ()):
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return headers


def cookies_of(headers: Headers) -> dict[str, str]:
    """Cookies of a request; of two with one name the first counts."""
    cookies: dict[str, str] = {}
    for header in headers.get("cookie", []):
        for part in header.split(";"):
            name, mark, value = part.strip().partition("=")
            if mark:
                cookies.setdefault(name, value)
    return cookies


def bearer_of(headers: Headers) -> str:
    """Bearer token of a request; empty if there is none, or several."""
    values = headers.get("authorization", [])
    scheme, _, token = (values[0] if len(values) == 1 else "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class Authenticator:
    """Finds the role of a request by the mode of the configuration.

    Raises
    ------
    SecretFileError
        If the token of open mode cannot be read or created.
    """

    def __init__(self, store: Store, config: Config, clock: Callable[[], int]) -> None:
        self._store, self._rules, self._clock = store, config.access, clock
        self.mode = access_mode(config)
        self.door = OpenDoor(load_token(token_file(store.url, config.path)) if needs_token(config) else None)

    def role(self, scope: Any, headers: Headers) -> Role:
        """Role of a request; public if it cannot be authenticated. May ask the store."""
        if self.mode == "open":
            return Role.ADMINISTRATOR if self.door.opens(cookies_of(headers), bearer_of(headers)) else Role.PUBLIC
        if self.mode == "header":
            return _role_from_header(scope, headers, self._rules)
        if self.mode == "oidc":
            return role_of_session(self._store, cookies_of(headers).get(self._rules.session_cookie, ""), self._clock())
        return Role.PUBLIC


def _role_from_header(scope: Any, headers: Headers, rules: AccessRules) -> Role:
    peer = (scope.get("client") or ("",))[0]
    values = headers.get(rules.groups_header.lower(), [])
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
