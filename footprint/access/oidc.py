"""OpenID Connect sign-in: authorization code with PKCE, state and nonce; the session in the store holds a role, no name.

https://openid.net/specs/openid-connect-core-1_0.html, sections 3.1.2 and 3.1.3.7; RFC 7636.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from joserfc.errors import JoseError
from starlette.concurrency import run_in_threadpool

from footprint.access.authentication import cookies_of, headers_of, role_of_groups
from footprint.access.error_pages import PROVIDER_UNAVAILABLE, SIGN_IN_FAILED, SIGN_OUT_REFUSED, error_page
from footprint.access.open_mode import is_cross_site
from footprint.access.sessions import end_session, start_session
from footprint.config.access import AccessRules
from footprint.core.outgoing_http import BoundedTransport
from footprint.core.secret_files import read_secret
from footprint.core.units import S_PER_HOUR, US_PER_S
from footprint.storage.database import Store

NEXT_KEY = "next"
LEEWAY_S = 30  # tolerated difference of the provider's clock
TIMEOUT_S = 10.0
MAX_PATH_LENGTH = 2000  # characters
SIGN_IN_MAX_AGE_S = 600  # between leaving for the provider and coming back
MAX_ANSWER_BYTES = 1 << 20
_BAD_ANSWER = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)  # of a provider, to Authlib
_log = logging.getLogger(__name__)


def local_path(text: str) -> str:
    """Path of this service to return to; ``/`` for anything else, such as another site's address."""
    if len(text) > MAX_PATH_LENGTH:
        return "/"  # it is kept in a cookie until the reader comes back
    has_unsafe_characters = "\\" in text or any(ord(character) < 0x20 for character in text)
    return text if text.startswith("/") and not text.startswith(("//", "/auth/")) and not has_unsafe_characters else "/"


def groups_of(claim: Any) -> list[str]:
    """Groups in the claim of a token: a text or a list of texts; anything else names none."""
    values = claim if isinstance(claim, list) else [claim]
    return [value for value in values if isinstance(value, str)]


def router(
    rules: AccessRules, store: Store, clock: Callable[[], int], transport: httpx.AsyncBaseTransport | None = None
) -> APIRouter:
    """Routes /auth/login, /auth/callback and /auth/logout; ``transport`` replaces HTTP to the provider in tests.

    Raises
    ------
    ConfigError
        If the client's secret cannot be read.
    """
    options: dict[str, Any] = {
        "scope": rules.scope,
        "code_challenge_method": "S256",
        "timeout": TIMEOUT_S,
        "transport": BoundedTransport(max_bytes=MAX_ANSWER_BYTES, total_s=TIMEOUT_S, is_secret=True, inner=transport),
    }
    provider: Any = OAuth().register(
        "provider",
        client_id=rules.client_id,
        client_secret=read_secret(rules.client_secret_file, "the client's secret"),
        server_metadata_url=f"{rules.issuer}/.well-known/openid-configuration",
        client_kwargs=options,
    )
    routes = APIRouter(prefix="/auth", include_in_schema=False)

    @routes.get("/login")
    async def login(request: Request) -> Response:
        return_path = local_path(request.query_params.get(NEXT_KEY, "/"))
        request.session.clear()
        try:
            answer: Response = await provider.authorize_redirect(request, f"{rules.address}/auth/callback")
        except (httpx.HTTPError, *_BAD_ANSWER) as error:
            _log.warning("the sign-in provider %s: %s", rules.issuer, type(error).__name__)
            return error_page(PROVIDER_UNAVAILABLE, request.headers.get("accept-language", ""), 503, {"Retry-After": "30"})
        request.session[NEXT_KEY] = return_path
        return answer

    @routes.get("/callback")
    async def callback(request: Request) -> Response:
        return_path = local_path(str(request.session.get(NEXT_KEY, "/")))
        required_claims = {
            "iss": {"essential": True, "value": rules.issuer},
            "aud": {"essential": True, "value": rules.client_id},
            "exp": {"essential": True},
        }
        try:
            token = await provider.authorize_access_token(request, claims_options=required_claims, leeway=LEEWAY_S)
            claims = token.get("userinfo")
        except (OAuthError, JoseError, *_BAD_ANSWER) as error:
            # The provider's message may contain names: log only the type of the error.
            _log.warning("sign-in refused: %s", type(error).__name__)
            claims = None
        except httpx.HTTPError as error:
            _log.warning("the sign-in provider %s: %s", rules.issuer, type(error).__name__)
            return error_page(PROVIDER_UNAVAILABLE, request.headers.get("accept-language", ""), 503, {"Retry-After": "30"})
        request.session.clear()
        if not claims:
            return error_page(SIGN_IN_FAILED, request.headers.get("accept-language", ""), 400)
        role, now = role_of_groups(rules, groups_of(claims.get(rules.groups_claim))), clock()
        session_s = rules.session_hours * S_PER_HOUR
        session_id = await run_in_threadpool(start_session, store, role, now, now + session_s * US_PER_S)
        back = RedirectResponse(return_path, 303)
        back.set_cookie(rules.session_cookie, session_id, session_s, secure=rules.secure, httponly=True, samesite="lax")
        return back

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        headers = headers_of(request.scope)
        if is_cross_site(headers, urlsplit(rules.address).netloc):
            return error_page(SIGN_OUT_REFUSED, request.headers.get("accept-language", ""), 403)
        await run_in_threadpool(end_session, store, cookies_of(headers).get(rules.session_cookie, ""))
        request.session.clear()
        out = RedirectResponse(await _end_session_url(), 303)
        out.delete_cookie(rules.session_cookie, secure=rules.secure, httponly=True, samesite="lax")
        return out

    async def _end_session_url() -> str:
        """Where the provider ends its own session, else the first page."""
        try:
            url = (await provider.load_server_metadata()).get("end_session_endpoint")
            # The policy of the pages lets their forms lead to the issuer only.
            is_of_issuer = isinstance(url, str) and urlsplit(url)[:2] == urlsplit(rules.issuer)[:2]
        except (httpx.HTTPError, *_BAD_ANSWER):
            is_of_issuer = False
        if not is_of_issuer:
            return "/"
        return f"{url}?{urlencode({'client_id': rules.client_id, 'post_logout_redirect_uri': f'{rules.address}/'})}"

    return routes
