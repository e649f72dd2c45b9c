"""``[access]``: roles, and authentication by OpenID Connect or by the header of a trusted proxy."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from footprint.config.toml_document import Document, resolve_path

TABLE = "access"
KEYS = {
    "mode",
    "roles",
    "default_role",
    "groups_header",
    "trusted",
    "issuer",
    "client_id",
    "client_secret_file",
    "groups_claim",
    "scope",
    "address",
    "session_hours",
    "session_key_file",
    "log_days",
    "sign_in",
}
MODES = ("open", "public", "header", "oidc")
ROLES = ("public", "committee", "officer", "engineer", "administrator")  # a test compares them with footprint.access.policy
MAX_SESSION_HOURS = 24


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Access control. ``roles`` holds pairs (group, role); the highest role of a user counts.

    If ``mode`` is empty, a server on the loopback address is open, and any other serves only public pages.
    """

    mode: str = ""
    roles: tuple[tuple[str, str], ...] = ()
    default_role: str = "public"
    groups_header: str = "X-Forwarded-Groups"
    trusted: tuple[str, ...] = field(default=())  # networks of the proxies whose header is trusted
    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    groups_claim: str = "groups"
    scope: str = "openid"
    address: str = ""  # public URL of the service, without trailing slash
    session_hours: int = 8
    session_key_file: str = "session.key"
    log_days: int = 365
    sign_in: str = ""  # mode "header": sign-in page of the proxy, such as /oauth2/sign_in; empty: no link

    @property
    def secure(self) -> bool:
        """Whether the public address is https."""
        return self.address.startswith("https://")

    @property
    def session_cookie(self) -> str:
        """Name of the cookie of a session; over https no other host and no other path can set it."""
        return f"{'__Host-' if self.secure else ''}footprint"


def is_loopback(host: str) -> bool:
    """Whether an address or name is reachable from its own machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_access(document: Document, path: Path | None) -> AccessRules:
    """Read the [access] section.

    Raises
    ------
    ConfigError
        If it is invalid, or would let in the wrong people.
    """
    reader = _AccessReader(document)
    mode = document.read_choice(TABLE, "mode", MODES, "") if "mode" in reader.section else ""
    if reader.section and not mode:
        raise document.error(f"access needs its mode: one of {', '.join(MODES)}", TABLE)
    rules = AccessRules(
        mode,
        reader.roles(),
        document.read_choice(TABLE, "default_role", ROLES, "public"),
        document.read_text(TABLE, "groups_header", "X-Forwarded-Groups"),
        reader.networks(),
        document.read_text(TABLE, "issuer").rstrip("/"),
        document.read_text(TABLE, "client_id"),
        resolve_path(document.read_text(TABLE, "client_secret_file"), path),
        document.read_text(TABLE, "groups_claim", "groups"),
        document.read_text(TABLE, "scope", "openid"),
        document.read_text(TABLE, "address").rstrip("/"),
        document.read_integer(TABLE, "session_hours", 8, 1, MAX_SESSION_HOURS),
        resolve_path(document.read_text(TABLE, "session_key_file", "session.key"), path),
        document.read_integer(TABLE, "log_days", 365, 1, 3 * 365),
        document.read_text(TABLE, "sign_in"),
    )
    if rules.sign_in and (mode != "header" or not rules.sign_in.startswith(("/", "https://")) or rules.sign_in.startswith("//")):
        raise document.error(
            'sign_in is for mode "header", a path of this host such as "/oauth2/sign_in" or an address that begins with https://',
            TABLE,
            0,
            "sign_in",
        )
    if mode == "header" and not rules.trusted:
        raise document.error(
            'mode "header" needs trusted: the addresses of the proxy, such as ["127.0.0.1"]; anyone else could send the header',
            TABLE,
            0,
            "mode",
        )
    if mode == "oidc":
        _check_oidc(document, rules)
    if mode in ("header", "oidc") and not rules.roles and rules.default_role == "public":
        raise document.error(
            'nobody would be more than public; add roles = { officer = ["group"], … } or a default_role', TABLE, 0, "mode"
        )
    return rules


def _check_oidc(document: Document, rules: AccessRules) -> None:
    for key in ("issuer", "client_id", "client_secret_file", "address"):
        if not getattr(rules, key):
            raise document.error(f'mode "oidc" needs {key}', TABLE, 0, "mode")
    for key in ("issuer", "address"):
        parts = urlsplit(getattr(rules, key))
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise document.error(f"{key} must be an address that begins with https://", TABLE, 0, key)
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise document.error(f"{key} must begin with https://: secrets would travel in clear", TABLE, 0, key)
    if urlsplit(rules.address).path:
        raise document.error(
            "address must be that of the root: pages under a path of another site are not supported", TABLE, 0, "address"
        )
    if "openid" not in rules.scope.split():
        raise document.error('scope must contain "openid"', TABLE, 0, "scope")


class _AccessReader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.section: dict[str, Any] = document.data.get(TABLE, {})

    def roles(self) -> tuple[tuple[str, str], ...]:
        roles = self.section.get("roles", {})
        if not isinstance(roles, dict) or not all(_is_text_list(groups) for groups in roles.values()):
            raise self.document.error('roles must be written { officer = ["group"], … }', TABLE, 0, "roles")
        unknown = sorted(set(roles) - set(ROLES))
        if unknown:
            raise self.document.error(f"no role {unknown[0]!r}; there are {', '.join(ROLES)}", TABLE, 0, "roles")
        return tuple((group, role) for role, groups in roles.items() for group in groups)

    def networks(self) -> tuple[str, ...]:
        networks = self.section.get("trusted", [])
        try:
            if not _is_text_list(networks):
                raise ValueError("not a list of texts")
            return tuple(str(ipaddress.ip_network(network)) for network in networks)
        except ValueError as bad:
            raise self.document.error(
                f'trusted must be a list of addresses or networks such as ["10.0.0.0/8"]: {bad}', TABLE, 0, "trusted"
            ) from None


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and text for text in value)
