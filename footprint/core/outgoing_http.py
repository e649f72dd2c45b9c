"""HTTP that the server sends: verified, bounded in size and time, and never redirected.

Every request to another machine (sources of intensity, Prometheus, the sign-in provider, a webhook, a benchmarked endpoint)
goes through ``BoundedTransport``. Needs httpx, so that the agent never imports this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from footprint.core.limits import insecure_url_fault, is_loopback_url, printable
from footprint.core.records import FootprintError

MAX_ANSWER_BYTES = 64 << 20
CONNECT_TIMEOUT_S, READ_TIMEOUT_S, TOTAL_TIMEOUT_S = 10, 30, 120
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PLAIN = ("", "identity")


class InsecureAddress(FootprintError):
    """A secret that would travel in clear."""


class RefusedAnswer(httpx.RequestError):
    """A redirect, or an answer in a compression that nobody asked for."""


class _BoundedStream(httpx.AsyncByteStream):
    """Body of an answer that ends with an error at its limit of bytes, or at its deadline."""

    def __init__(self, stream: httpx.AsyncByteStream, max_bytes: int, deadline_s: float, request: httpx.Request) -> None:
        self._stream, self._bytes_left, self._deadline_s, self._request = stream, max_bytes, deadline_s, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._stream)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline_s):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise httpx.ReadTimeout("the answer does not end", request=self._request) from None
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise httpx.ReadError("the answer is too long", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx.AsyncBaseTransport):
    """Transport that bounds each answer.

    An answer of more than ``max_bytes``, one that takes longer than ``total_s`` in all, one in a compression that nobody asked
    for and a redirect are errors of httpx: a redirect could send what the request bears to another machine. With ``is_secret``
    requests go only over https or to this machine.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
        total_s: float = TOTAL_TIMEOUT_S,
        is_secret: bool = False,
        limits: httpx.Limits | None = None,
        inner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._inner, self._by_proxy = inner, dict[str, httpx.AsyncBaseTransport]()
        self._limits = limits or httpx.Limits()
        self._max_bytes, self._total_s, self._is_secret = max_bytes, total_s, is_secret

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        if self._is_secret and (fault := insecure_url_fault(str(request.url))):
            raise httpx.UnsupportedProtocol(fault, request=request)
        # Compressed answers could unpack to any size.
        request.headers["accept-encoding"] = "identity"
        deadline_s = asyncio.get_running_loop().time() + self._total_s
        try:
            async with asyncio.timeout_at(deadline_s):
                response = await self._transport_for(request.url).handle_async_request(request)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time", request=request) from None
        fault = _fault_of(response)
        if fault:
            await response.aclose()
            raise RefusedAnswer(fault, request=request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        stream = _BoundedStream(response.stream, self._max_bytes, deadline_s, request)
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions, request=request
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in (*self._by_proxy.values(), *([self._inner] if self._inner else [])):
            await transport.aclose()

    def _transport_for(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        """Transport to an address, through the proxy that the environment names for it (HTTPS_PROXY, NO_PROXY)."""
        if self._inner is not None:
            return self._inner
        proxy = "" if is_loopback_url(str(url)) or proxy_bypass(url.host) else getproxies().get(url.scheme, "")
        if proxy not in self._by_proxy:
            self._by_proxy[proxy] = httpx.AsyncHTTPTransport(limits=self._limits, proxy=proxy or None)
        return self._by_proxy[proxy]


def _fault_of(response: httpx.Response) -> str:
    if response.status_code in _REDIRECTS:
        target = printable(address_without_secrets(response.headers.get("location", "")))[:100]
        return f"it redirects ({response.status_code}) to {target}; redirects are not followed, name the address itself"
    if response.headers.get("content-encoding", "").strip().lower() not in _PLAIN:
        return "the answer is compressed, which was not asked for"
    return ""


def async_client(
    *,
    headers: Mapping[str, str] | None = None,
    connections: int = 10,
    read_s: float = READ_TIMEOUT_S,
    total_s: float = TOTAL_TIMEOUT_S,
    max_bytes: int = MAX_ANSWER_BYTES,
    is_secret: bool = False,
) -> httpx.AsyncClient:
    """Client over a ``BoundedTransport``, with at most ``connections`` at once."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncClient(
        headers=dict(headers or {}),
        timeout=httpx.Timeout(read_s, connect=CONNECT_TIMEOUT_S),
        transport=BoundedTransport(max_bytes=max_bytes, total_s=total_s, is_secret=is_secret, limits=limits),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """Whole answer: status, headers with names in lower case, body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class BoundedClient:
    """Blocking client of one address, for programs without an event loop; its connection is reused.

    Raises
    ------
    InsecureAddress
        If ``is_secret`` and the address is neither https nor on this machine.
    """

    def __init__(
        self, url: str, *, is_secret: bool = False, max_bytes: int = MAX_ANSWER_BYTES, total_s: float = TOTAL_TIMEOUT_S
    ) -> None:
        if is_secret and (fault := insecure_url_fault(url)):
            raise InsecureAddress(f"{address_without_secrets(url)}: {fault}")
        self._url = url.rstrip("/")
        self._options = {"is_secret": is_secret, "max_bytes": max_bytes, "total_s": total_s}
        self._runner = asyncio.Runner()
        self._client: httpx.AsyncClient | None = None

    def request(
        self,
        method: str,
        path: str = "",
        *,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Answer:
        """Send one request and read its whole answer.

        Raises
        ------
        httpx.HTTPError
            If there is no answer within the limits.
        """
        return self._runner.run(self._send(method, path, parameters, headers, content))

    async def _send(
        self, method: str, path: str, parameters: Mapping[str, str] | None, headers: Mapping[str, str] | None, content: bytes
    ) -> Answer:
        if self._client is None:
            self._client = async_client(**self._options)  # type: ignore[arg-type]
        try:
            response = await self._client.request(
                method,
                self._url + path,
                params=dict(parameters) if parameters else None,
                headers=headers,
                content=content or None,
            )
        except httpx.InvalidURL as error:
            raise httpx.UnsupportedProtocol(str(error)) from None
        return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._runner.run(self._client.aclose())
            self._client = None
        self._runner.close()

    def __enter__(self) -> BoundedClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        self.close()


def address_without_secrets(url: str) -> str:
    """Scheme, host and port of a URL: its path, query and user may hold a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the address"
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else "another path"
