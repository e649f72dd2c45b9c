"""Security headers of every answer, errors included, and the content security policy of pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from footprint.config import Config

_POLICY = (
    "default-src 'self'; script-src {scripts}; style-src {styles}; img-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def source_hash(text: str) -> str:
    """Source of a policy that allows one inline script or style sheet, by its digest."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def content_security_policy(scripts: Sequence[str] = (), styles: Sequence[str] = (), forms: Sequence[str] = ()) -> str:
    """Content security policy: this host only, and inline scripts and style sheets with these digests; never eval."""
    sources = (" ".join(["'self'", *more]) for more in (scripts, styles, forms))
    return _POLICY.format(**dict(zip(("scripts", "styles", "forms"), sources, strict=True)))


def form_targets(config: Config) -> tuple[str, ...]:
    """Other hosts to which a form may lead: the sign-in provider, which ends its own session after ours."""
    if config.access.mode != "oidc":
        return ()
    parts = urlsplit(config.access.issuer)
    return (f"{parts.scheme}://{parts.netloc}",)


class SecurityHeadersMiddleware:
    """ASGI middleware that adds the security headers an answer does not set itself; ``policy`` gives that of pages."""

    def __init__(self, app: Any, config: Config, policy: Callable[[], str]) -> None:
        self._app, self._policy = app, policy
        self._headers = list(_HEADERS)
        if config.access.secure:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))
        # The answer depends on the role, which a cookie, a token or a header of the proxy gives.
        self._headers.append((b"cache-control", b"private, no-cache"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"server"]
                present = {name.lower() for name, _ in headers}
                added = [*self._headers, (b"content-security-policy", self._policy().encode("latin-1"))]
                message = {**message, "headers": headers + [pair for pair in added if pair[0] not in present]}
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
