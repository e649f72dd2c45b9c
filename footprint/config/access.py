"""This file reads [access]: who may see what, by a sign-in of one's own (OpenID Connect) or by the word of a trusted proxy."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from footprint.config.toml_document import Document

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
ROLES = ("public", "committee", "officer", "engineer", "administrator")  # a test holds them against footprint.access.roles
LOOPBACK = ("localhost", "::1")
MAX_HOURS = 24


@dataclass(frozen=True, slots=True)
class AccessRules:
    """``mode`` empty: open on the loopback, else only what is public. ``roles`` holds (group, role), the highest role wins."""

    mode: str = ""
    roles: tuple[tuple[str, str], ...] = ()
    default_role: str = "public"
    groups_header: str = "X-Forwarded-Groups"
    trusted: tuple[str, ...] = field(default=())  # networks of proxies whose header is believed
    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    groups_claim: str = "groups"
    scope: str = "openid"
    address: str = ""  # under which readers reach the service, without a slash at its end
    session_hours: int = 8
    session_key_file: str = "session.key"
    log_days: int = 365
    sign_in: str = ""  # mode "header": where the proxy signs readers in, such as /oauth2/sign_in; empty shows no link

    @property
    def secure(self) -> bool:
        """Whether readers come by https."""
        return self.address.startswith("https://")


def is_loopback(bind: str) -> bool:
    """Whether a server bound there is reached from its own machine only."""
    return bind in LOOPBACK or bind.startswith("127.")


def read_access(document: Document, path: Path | None) -> AccessRules:
    """The [access] section.

    Raises
    ------
    ConfigError
        If it cannot be right, or would let in whom it should not.
    """
    reader = _AccessReader(document)
    mode = reader.one_of("mode", MODES, "") if "mode" in reader.given else ""
    if reader.given and not mode:
        raise document.error(f"access needs its mode: one of {', '.join(MODES)}", TABLE)
    rules = AccessRules(
        mode,
        reader.roles(),
        reader.one_of("default_role", ROLES, "public"),
        reader.text("groups_header", "X-Forwarded-Groups"),
        reader.networks(),
        reader.text("issuer").rstrip("/"),
        reader.text("client_id"),
        _beside(reader.text("client_secret_file"), path),
        reader.text("groups_claim", "groups"),
        reader.text("scope", "openid"),
        reader.text("address").rstrip("/"),
        reader.whole("session_hours", 8, MAX_HOURS),
        _beside(reader.text("session_key_file", "session.key"), path),
        reader.whole("log_days", 365, 3 * 365),
        reader.text("sign_in"),
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
        _complete(document, rules)
    if mode in ("header", "oidc") and not rules.roles and rules.default_role == "public":
        raise document.error(
            'nobody would be more than public; add roles = { officer = ["group"], … } or a default_role', TABLE, 0, "mode"
        )
    return rules


def _complete(document: Document, rules: AccessRules) -> None:
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
        self.given: dict[str, Any] = document.data.get(TABLE, {})

    def text(self, key: str, default: str = "") -> str:
        value = self.given.get(key, default)
        if not isinstance(value, str):
            raise self.document.error(f"{key} must be a text in quotes", TABLE, 0, key)
        return value

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self.document.error(f"{key} is {value!r}; it must be one of {', '.join(allowed)}", TABLE, 0, key)
        return value

    def whole(self, key: str, default: int, most: int) -> int:
        value = self.given.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise self.document.error(f"{key} must be a whole number from 1 to {most}", TABLE, 0, key)
        return value

    def roles(self) -> tuple[tuple[str, str], ...]:
        given = self.given.get("roles", {})
        if not isinstance(given, dict) or not all(_texts(groups) for groups in given.values()):
            raise self.document.error('roles must be written { officer = ["group"], … }', TABLE, 0, "roles")
        unknown = sorted(set(given) - set(ROLES))
        if unknown:
            raise self.document.error(f"no role {unknown[0]!r}; there are {', '.join(ROLES)}", TABLE, 0, "roles")
        return tuple((group, role) for role, groups in given.items() for group in groups)

    def networks(self) -> tuple[str, ...]:
        given = self.given.get("trusted", [])
        try:
            if not _texts(given):
                raise ValueError("not a list of texts")
            return tuple(str(ipaddress.ip_network(each)) for each in given)
        except ValueError as bad:
            raise self.document.error(
                f'trusted must be a list of addresses or networks such as ["10.0.0.0/8"]: {bad}', TABLE, 0, "trusted"
            ) from None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)


def _beside(text: str, path: Path | None) -> str:
    return str(path.resolve().parent / text) if text and path is not None else text
