"""This file signs readers in with OpenID Connect: authorization code with PKCE, state and nonce; a session keeps a role, no name.

https://openid.net/specs/openid-connect-core-1_0.html, sections 3.1.2 and 3.1.3.7; RFC 7636.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from joserfc.errors import JoseError

from footprint.access.authentication import SESSION_ROLE, SESSION_UNTIL, role_of_groups
from footprint.access.error_pages import AWAY, REFUSED, error_page
from footprint.access.secret_files import secret_of
from footprint.config.access import AccessRules
from footprint.core.units import S_PER_HOUR, US_PER_S

NEXT = "next"
LEEWAY_S = 30  # by which the provider's clock may differ
TIMEOUT_S = 10.0
_log = logging.getLogger(__name__)


def local_path(text: str) -> str:
    """A path of this service to go back to; the first page for anything else, such as another site's address."""
    odd = "\\" in text or any(ord(sign) < 0x20 for sign in text)
    return text if text.startswith("/") and not text.startswith(("//", "/auth/")) and not odd else "/"


def router(rules: AccessRules, clock: Callable[[], int], transport: httpx.AsyncBaseTransport | None = None) -> APIRouter:
    """/auth/login, /auth/callback, /auth/logout; ``transport`` reaches the provider (a test's own).

    Raises
    ------
    ConfigError
        If the client's secret cannot be read.
    """
    options: dict[str, Any] = {"scope": rules.scope, "code_challenge_method": "S256", "timeout": TIMEOUT_S}
    if transport is not None:
        options["transport"] = transport
    provider: Any = OAuth().register(
        "provider",
        client_id=rules.client_id,
        client_secret=secret_of(rules.client_secret_file, "the client's secret"),
        server_metadata_url=f"{rules.issuer}/.well-known/openid-configuration",
        client_kwargs=options,
    )
    routes = APIRouter(prefix="/auth", include_in_schema=False)

    @routes.get("/login")
    async def login(request: Request) -> Response:
        back = local_path(request.query_params.get(NEXT, "/"))
        request.session.clear()
        try:
            answer: Response = await provider.authorize_redirect(request, f"{rules.address}/auth/callback")
        except (httpx.HTTPError, ValueError) as bad:
            _log.warning("the sign-in provider %s: %s", rules.issuer, type(bad).__name__)
            return error_page(AWAY, request.headers.get("accept-language", ""), 503, {"Retry-After": "30"})
        request.session[NEXT] = back
        return answer

    @routes.get("/callback")
    async def callback(request: Request) -> Response:
        back = local_path(str(request.session.get(NEXT, "/")))
        must = {
            "iss": {"essential": True, "value": rules.issuer},
            "aud": {"essential": True, "value": rules.client_id},
            "exp": {"essential": True},
        }
        try:
            told = await provider.authorize_access_token(request, claims_options=must, leeway=LEEWAY_S)
            claims = told.get("userinfo")
        except (OAuthError, JoseError, ValueError, KeyError) as bad:
            # What the provider sent may hold names: only the kind of the fault is logged.
            _log.warning("sign-in refused: %s", type(bad).__name__)
            claims = None
        except httpx.HTTPError as bad:
            _log.warning("the sign-in provider %s: %s", rules.issuer, type(bad).__name__)
            return error_page(AWAY, request.headers.get("accept-language", ""), 503, {"Retry-After": "30"})
        request.session.clear()
        if not claims:
            return error_page(REFUSED, request.headers.get("accept-language", ""), 400)
        groups = claims.get(rules.groups_claim) or []
        role = role_of_groups(rules, [groups] if isinstance(groups, str) else [str(each) for each in groups])
        request.session[SESSION_ROLE] = role.value
        request.session[SESSION_UNTIL] = clock() + rules.session_hours * S_PER_HOUR * US_PER_S
        return RedirectResponse(back, 303)

    @routes.get("/logout")
    async def logout(request: Request) -> Response:
        request.session.clear()
        try:
            end = (await provider.load_server_metadata()).get("end_session_endpoint")
        except (httpx.HTTPError, ValueError):
            end = None
        if not end:
            return RedirectResponse("/", 303)
        told = urlencode({"client_id": rules.client_id, "post_logout_redirect_uri": f"{rules.address}/"})
        return RedirectResponse(f"{end}?{told}", 303)

    return routes
