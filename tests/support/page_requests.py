"""Requests with which a browser fetches a page: its shell, then each of its cards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastapi.testclient import TestClient

Post = Callable[[dict[str, Any]], str]  # sends a request, returns the text of the answer
SHELL_OUTPUTS = ("header.children", "filters.children", "printed.children", "body.children", "footer.children")
SHELL_STORES = ("structure.data", "url.data")


def _part(name: str, value: Any) -> dict[str, Any]:
    element, _, part = name.rpartition(".")
    return {"id": element, "property": part, "value": value}


def shell_request(path: str, search: str, language: str = "en", structure: str = "") -> dict[str, Any]:
    """Request of a shell; ``structure`` is that of the page shown."""
    outputs = (*SHELL_OUTPUTS, *SHELL_STORES)
    return {
        "output": f"..{'...'.join(outputs)}..",
        "outputs": [dict(zip(("id", "property"), name.split("."), strict=True)) for name in outputs],
        "inputs": [_part("address.pathname", path), _part("address.search", search)],
        "state": [_part("structure.data", structure), _part("language.data", language)],
        "changedPropIds": ["address.search"],
    }


def card_request(name: str, url: str, language: str = "en") -> dict[str, Any]:
    """Request of the content of a frame."""
    frame = {"name": name, "type": "card"}
    pattern = '{"name":["MATCH"],"type":"card"}'
    return {
        "output": f"..{pattern}.children...{pattern}.data-url..",
        "outputs": [{"id": frame, "property": "children"}, {"id": frame, "property": "data-url"}],
        "inputs": [_part("url.data", url), _part("turn.data", 0)],
        "state": [{"id": frame, "property": "id", "value": frame}, _part("language.data", language)],
        "changedPropIds": ["url.data"],
    }


def poll_request(url: str, language: str = "en") -> dict[str, Any]:
    """Request that asks whether there are figures yet."""
    outputs = ("tick.disabled", "turn.data")
    return {
        "output": f"..{'...'.join(outputs)}..",
        "outputs": [dict(zip(("id", "property"), name.split("."), strict=True)) for name in outputs],
        "inputs": [_part("url.data", url), _part("tick.n_intervals", 0)],
        "state": [_part("tick.disabled", True), _part("language.data", language)],
        "changedPropIds": ["url.data"],
    }


def power_request(path: str, search: str, language: str = "en") -> dict[str, Any]:
    """Request of the power of a host now."""
    return {
        "output": "power.figure",
        "outputs": {"id": "power", "property": "figure"},
        "inputs": [_part("live.n_intervals", 1)],
        "state": [_part("address.pathname", path), _part("address.search", search), _part("language.data", language)],
        "changedPropIds": ["live.n_intervals"],
    }


def pause_request(language: str = "en") -> dict[str, Any]:
    """Request of a click on the button that holds the power of a host."""
    outputs = ("live.disabled", "pause.children")
    return {
        "output": f"..{'...'.join(outputs)}..",
        "outputs": [dict(zip(("id", "property"), name.split("."), strict=True)) for name in outputs],
        "inputs": [_part("pause.n_clicks", 1)],
        "state": [_part("live.disabled", True), _part("language.data", language)],
        "changedPropIds": ["pause.n_clicks"],
    }


def frame_names(shell: str) -> list[str]:
    """Names of the frames in the answer to the request of a shell, in reading order."""
    return list(_names(json.loads(shell)["response"]))


def _names(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        frame = part.get("id")
        if isinstance(frame, dict) and frame.get("type") == "card":
            yield frame["name"]
        for value in part.values():
            yield from _names(value)
    elif isinstance(part, list):
        for member in part:
            yield from _names(member)


def whole_page(post: Post, path: str, search: str, language: str = "en") -> str:
    """Answers of a shell and of all its cards, as a JSON list."""
    shell = post(shell_request(path, search, language))
    return json_list([shell, *(post(card_request(name, path + search, language)) for name in frame_names(shell))])


def json_list(answers: Iterable[str]) -> str:
    """JSON list of answers; one without content is left out."""
    return f"[{','.join(answer for answer in answers if answer)}]"


def poster(browser: TestClient) -> Post:
    """Sends requests as a client."""

    def post(request: dict[str, Any]) -> str:
        answer = browser.post("/_dash-update-component", json=request)
        assert answer.status_code in (200, 204), (request["output"], answer.text[:400])
        return answer.text

    return post
