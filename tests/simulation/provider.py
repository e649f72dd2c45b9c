"""OpenID Connect provider for tests: an ASGI application that signs tokens, valid or falsified."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "footprint", "s3cret-of-the-client"
SUBJECT, NAME = "u-4711", "Ada Lovelace"


class Provider:
    """Signs in one person with ``groups``; ``claims`` overrides claims of the token, ``signs_with`` the signing key."""

    def __init__(self, issuer: str) -> None:
        self.issuer, self.groups = issuer, ["sustainability"]
        self.claims: dict[str, Any] = {}
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.signs_with = self.key
        self.algorithm = "RS256"
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[dict[str, str]] = []
        self.app = self._app()

    def forge_tokens(self) -> None:
        """Sign tokens with an unpublished key from now on."""
        self.signs_with = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})

    def _token(self, parameters: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": SUBJECT,
            "name": NAME,
            "email": "ada@example.org",
            "iat": now,
            "exp": now + 300,
            "nonce": parameters["nonce"],
            "groups": self.groups,
            **self.claims,
        }
        return jwt.encode({"alg": self.algorithm, "kid": "one"}, claims, self.signs_with)

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def metadata() -> dict[str, Any]:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "end_session_endpoint": f"{self.issuer}/end",
                "id_token_signing_alg_values_supported": ["RS256"],
            }

        @app.get("/keys")
        def keys() -> dict[str, Any]:
            return {"keys": [self.key.as_dict(private=False)]}

        @app.get("/authorize")
        def authorize(request: Request) -> Response:
            parameters = dict(request.query_params)
            self.asked.append(parameters)
            code = hashlib.sha256(parameters["state"].encode()).hexdigest()
            self.codes[code] = parameters
            return RedirectResponse(
                f"{parameters['redirect_uri']}?{urlencode({'code': code, 'state': parameters['state']})}", 302
            )

        @app.post("/token")
        async def token(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode()))
            parameters = self.codes.pop(form.get("code", ""), None)
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            if (
                parameters is None
                or challenge != parameters["code_challenge"]
                or form.get("redirect_uri") != parameters["redirect_uri"]
            ):
                return JSONResponse({"error": "invalid_grant"}, 400)
            if request.headers.get("authorization") != expected:
                return JSONResponse({"error": "invalid_client"}, 401)
            return JSONResponse(
                {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": self._token(parameters)}
            )

        @app.get("/end")
        def end(post_logout_redirect_uri: str) -> Response:
            return RedirectResponse(post_logout_redirect_uri, 302)

        return app
