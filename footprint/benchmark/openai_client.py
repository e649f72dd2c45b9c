"""Client of an OpenAI-compatible endpoint: one streamed answer to one prompt, with the arrival times of its pieces.

POST …/chat/completions with ``stream`` and ``stream_options.include_usage``: token counts are the server's own, in the last
piece of the stream. GET …/models lists the served models.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from footprint.benchmark.steady_state import AnsweredRequest
from footprint.core.limits import insecure_url_fault, printable
from footprint.core.outgoing_http import RefusedAnswer, async_client
from footprint.core.records import FootprintError

MAX_RETRY_S, MAX_ANSWER_S = 300, 3600
_PATH = "/chat/completions"
_MAX_MESSAGE_CHARS = 200  # of a server's message in an error


class EndpointUnavailable(FootprintError):
    """The endpoint cannot be reached, or refuses access."""


class EndpointError(FootprintError):
    """The endpoint answers in a way that cannot be benchmarked."""


class RequestFailed(FootprintError):
    """One request without a complete answer; others may succeed."""


class RateLimited(FootprintError):
    """The endpoint accepts no more requests for ``retry_s`` seconds."""

    def __init__(self, retry_s: float) -> None:
        super().__init__(f"the endpoint limits the rate (429), and asks to wait {retry_s:g} s")
        self.retry_s = retry_s


@dataclass(frozen=True, slots=True)
class Target:
    """Endpoint, model and parameters of the requests. The key is sent, and never written anywhere."""

    url: str
    model: str
    max_tokens: int
    temperature: float
    key: str = ""
    timeout_s: float = 600


def base_url(url: str) -> str:
    """Base address of the API; adds /v1 if only a host was given.

    Raises
    ------
    EndpointUnavailable
        If the text is no HTTP address.
    """
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host:
        raise EndpointUnavailable(f"{url!r} is no address; http://HOST:PORT/v1 is one")
    text = str(address).rstrip("/").removesuffix(_PATH)
    return text if address.path.strip("/") else f"{text}/v1"


def http_client(target: Target, connections: int) -> httpx.AsyncClient:
    """A client that keeps one connection for each request in flight.

    Raises
    ------
    EndpointUnavailable
        If the key would travel in clear.
    """
    if target.key and (fault := insecure_url_fault(base_url(target.url))):
        raise EndpointUnavailable(f"the key is not sent to {target.url}: {fault}")
    headers = {"Authorization": f"Bearer {target.key}"} if target.key else {}
    return async_client(
        headers=headers, connections=connections, read_s=target.timeout_s, total_s=MAX_ANSWER_S, is_secret=bool(target.key)
    )


async def served_models(client: httpx.AsyncClient, url: str) -> tuple[list[str], str]:
    """(models, engine) that an endpoint reports; the engine is empty if unknown.

    Raises
    ------
    EndpointUnavailable
        If the endpoint cannot be reached or refuses access.
    """
    try:
        response = await client.get(f"{base_url(url)}/models")
    except httpx.HTTPError as error:
        raise _unavailable(url, error) from None
    _raise_for_status(response.status_code, response.headers, url, "")
    try:
        models = [str(model["id"]) for model in response.json()["data"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        models = []
    return models, printable(response.headers.get("server", ""))[:_MAX_MESSAGE_CHARS]


async def stream_completion(
    client: httpx.AsyncClient,
    target: Target,
    prompt: int,
    messages: list[dict[str, Any]],
    on_first: Callable[[], None] = lambda: None,
) -> tuple[AnsweredRequest, str]:
    """Counts and instants [s, monotonic] of one answer, and its text for a grader.

    Raises
    ------
    EndpointUnavailable
        If the endpoint cannot be reached or refuses access.
    EndpointError
        If the stream ends without usage.
    RateLimited
        On status 429.
    RequestFailed
        If the answer is empty or incomplete.
    """
    body = {
        "model": target.model,
        "messages": messages,
        "max_tokens": target.max_tokens,
        "temperature": target.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    arrivals: list[float] = []
    texts: list[str] = []
    usage: dict[str, Any] | None = None
    start = time.monotonic()
    try:
        async with client.stream("POST", base_url(target.url) + _PATH, json=body) as response:
            if response.status_code != HTTPStatus.OK:
                _raise_for_status(
                    response.status_code, response.headers, target.url, (await response.aread()).decode(errors="replace")
                )
            async for line in response.aiter_lines():
                event = _event_json(line)
                if event is None:
                    continue
                text = _event_text(event)
                if text is not None:
                    arrivals.append(time.monotonic())
                    texts.append(text)
                    if len(arrivals) == 1:
                        on_first()
                usage = event.get("usage") or usage
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
        raise _unavailable(target.url, error) from None
    except RefusedAnswer as error:
        raise EndpointError(f"{target.url}: {error}") from None
    except httpx.HTTPError as error:
        raise RequestFailed(f"the answer broke off: {error or type(error).__name__}") from None
    end = time.monotonic()
    return _answered_request(prompt, start, end, arrivals, usage), "".join(texts)


def _event_json(line: str) -> dict[str, Any] | None:
    """JSON of a server-sent event; None for other lines of the stream."""
    if not line.startswith("data:"):
        return None
    text = line[5:].strip()
    if text == "[DONE]":
        return None
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise RequestFailed("the stream holds what is no JSON") from None
    if isinstance(event, dict) and event.get("error"):
        raise RequestFailed(f"the server says in its stream: {printable(str(event['error'])[:_MAX_MESSAGE_CHARS])}")
    return event if isinstance(event, dict) else None


def _event_text(event: dict[str, Any]) -> str | None:
    """Text of an event; None without output. Reasoning and tool calls are output tokens too."""
    event_text = None
    try:
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            text = "".join(str(delta.get(name) or "") for name in ("reasoning_content", "reasoning", "content"))
            if text or delta.get("tool_calls"):
                event_text = (event_text or "") + text
    except (AttributeError, TypeError):
        raise RequestFailed("the stream holds events of another form than the API documents") from None
    return event_text


def _answered_request(
    prompt: int, start: float, end: float, arrivals: list[float], usage: dict[str, Any] | None
) -> AnsweredRequest:
    if not isinstance(usage, dict):
        raise EndpointError(
            "the stream ended without usage: tokens cannot be counted; the server must support stream_options.include_usage"
        )
    output_tokens, input_tokens = usage.get("completion_tokens"), usage.get("prompt_tokens")
    if not isinstance(output_tokens, int) or not isinstance(input_tokens, int):
        raise EndpointError("the usage in the stream has no prompt_tokens or completion_tokens")
    if not arrivals or output_tokens < 1:
        raise RequestFailed("the model answered nothing")
    return AnsweredRequest(prompt, start, end, tuple(arrivals), input_tokens, output_tokens)


def _raise_for_status(status: int, headers: httpx.Headers, url: str, body: str) -> None:
    """Raise the error that a status stands for, if any."""
    message = printable(" ".join(body.split())[:_MAX_MESSAGE_CHARS])
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise EndpointUnavailable(f"{url} lets us not in ({status}); --key-file names a file with its key")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited(min(_retry_s(headers.get("retry-after", "")), MAX_RETRY_S))
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        endpoint = f"{base_url(url)}{_PATH}"
        raise EndpointError(f"{endpoint} is not there ({status} {message}); is it the address of the API, and the model's name?")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RequestFailed(f"the server answers {status} {message}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise EndpointError(f"the server refuses the request ({status}): {message}")


def _retry_s(text: str) -> float:
    """Seconds of a Retry-After header (seconds or a date); 1 if it is neither."""
    try:
        return float(int(text)) if text.strip().isdecimal() else max(parsedate_to_datetime(text).timestamp() - time.time(), 1.0)
    except (ValueError, TypeError, OverflowError):
        return 1.0


def _unavailable(url: str, error: Exception) -> EndpointUnavailable:
    return EndpointUnavailable(
        f"{url} does not answer ({error or type(error).__name__}); is the server up, and the address right?"
    )
