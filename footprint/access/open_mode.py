"""Open mode: one person on one machine, without accounts. Who holds the token of a file is administrator, everybody else public.

Browsers of this machine reach the service from any site that they show (a cross-site request), and under any name that its owner
points to 127.0.0.1 (DNS rebinding), so requests with a foreign ``Host``, ``Origin`` or ``Sec-Fetch-Site`` are refused. A proxy on
this machine may hide both, which is why the origin of a request alone never makes an administrator.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from footprint.access.request_context import PAGE_KEY, RECEIVED_KEY
from footprint.config.access import is_loopback
from footprint.core.secret_files import read_or_create_secret

TOKEN_PARAMETER = "token"
COOKIE_MAX_AGE_S = 30 * 86_400
TOKEN_FILE_SUFFIX = ".access-token"
# Probes show nothing, and agents have tokens of their own.
_ALWAYS_ANSWERED = ("/healthz", "/readyz", "/api/v1/ingest")


def token_file(store_url: str, config_file: Path | None) -> Path:
    """File of the token: beside an SQLite store, else beside the configuration."""
    scheme, _, path = store_url.partition(":///")
    if scheme.startswith("sqlite") and path and path != ":memory:":
        return Path(path + TOKEN_FILE_SUFFIX)
    return (config_file.resolve().parent if config_file else Path.cwd()) / f"footprint{TOKEN_FILE_SUFFIX}"


def load_token(path: Path) -> str:
    """Token of this service; the first call creates it (mode 0600).

    Raises
    ------
    SecretFileError
        If it cannot be read or created, or others may read it.
    """
    return read_or_create_secret(path, "the token of this service")


def opening_link(address: str, token: str) -> str:
    """Link that makes a browser the administrator's."""
    return f"{address}/?{urlencode({TOKEN_PARAMETER: token})}"


class OpenDoor:
    """Who may enter in open mode; without a token every local request does, as administrator."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        # Cookies of one machine reach every port of it: the name tells services apart, and the value is not the token itself.
        name = hashlib.sha256((token or "").encode()).hexdigest()[:8]
        self.cookie_name = f"footprint_{name}"
        self.cookie_value = hmac.new((token or "").encode(), b"cookie", hashlib.sha256).hexdigest()

    def opens(self, cookies: dict[str, str], bearer: str) -> bool:
        """Whether a request is that of the administrator."""
        if self._token is None:
            return True
        return _same(bearer, self._token) or _same(cookies.get(self.cookie_name, ""), self.cookie_value)

    def link_target(self, scope: Any) -> tuple[str, bool] | None:
        """Address behind a link with a token, without it, and whether the token is right; None for any other request.

        The token is taken out of the scope, so that nothing behind writes it to a log.
        """
        if self._token is None or scope["method"] not in ("GET", "HEAD") or scope["path"].startswith("/api/"):
            return None
        pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in pairs if name == TOKEN_PARAMETER]
        if not tokens:
            return None
        rest = urlencode([(name, value) for name, value in pairs if name != TOKEN_PARAMETER])
        scope["query_string"] = scope.get(RECEIVED_KEY, scope)["query_string"] = rest.encode("latin-1")
        path = quote(scope.get(PAGE_KEY) or scope["path"])
        target = "/" if path.startswith("//") else path
        return f"{target}?{rest}" if rest else target, len(tokens) == 1 and _same(tokens[0], self._token)


def _same(text: str, secret: str) -> bool:
    return hmac.compare_digest(text.encode(), secret.encode())


def is_loopback_host(host: str) -> bool:
    """Whether a ``Host`` header names this machine by its loopback address, or ``localhost``."""
    try:
        parts = urlsplit(f"//{host}")
        has_only_host = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
        return has_only_host and (parts.port is None or parts.port > 0) and is_loopback(parts.hostname or "")
    except ValueError:
        return False


def refusal(scope: Any, headers: dict[str, list[str]]) -> tuple[int, str]:
    """Status and reason with which open mode refuses a request; (0, "") if it is one of this machine."""
    if scope["path"] in _ALWAYS_ANSWERED:
        return 0, ""
    hosts = headers.get("host", [])
    if len(hosts) != 1 or not is_loopback_host(hosts[0]):
        return 421, "host"
    if is_cross_site(headers, hosts[0]):
        return 403, "cross-site"
    return 0, ""


def is_cross_site(headers: dict[str, list[str]], own_host: str) -> bool:
    """Whether the page of another site (or another port) caused a request, as the browser tells."""
    for site in headers.get("sec-fetch-site", []):
        is_link = headers.get("sec-fetch-mode") == ["navigate"] and headers.get("sec-fetch-dest") in (["document"], None)
        if site not in ("same-origin", "none") and not (site == "same-site" and is_link):
            return True
    return any(_netloc(origin) != own_host.lower() for origin in headers.get("origin", []))


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # a client writes what it likes
        return ""
