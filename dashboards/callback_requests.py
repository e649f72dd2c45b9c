"""Requests of callbacks, checked before Dash reads them: known callback, allowed role, and values of the right kind.

A client chooses every byte of such a request. What Dash could not answer gets 400 or 404 with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from dashboards.translations import LANGUAGES
from footprint.access.policy import decide
from footprint.access.request_context import current_role

PATH = "/_dash-update-component"
MAX_TEXT_LENGTH = 20_000  # characters of an address or of another value
MAX_DEPTH = 20  # of the document
_TEXT, _COUNT, _FLAG = (str, type(None)), (int, type(None)), (bool, type(None))
# Kinds of the values that the callbacks take, by the names of their inputs.
VALUE_KINDS: dict[str, tuple[type, ...]] = {
    "address.pathname": _TEXT,
    "address.search": _TEXT,
    "structure.data": _TEXT,
    "language.data": (str,),
    "url.data": (str,),
    "turn.data": _COUNT,
    "tick.n_intervals": _COUNT,
    "tick.disabled": _FLAG,
    "live.n_intervals": _COUNT,
    "live.disabled": _FLAG,
    "pause.n_clicks": _COUNT,
}


class BadRequest(Exception):
    """A request that no page sends; the message gives the reason."""


def callback_name(output: str) -> str:
    """Name of a callback in the table of permissions: the identifier, or the type of a pattern, of its first output."""
    first = output.removeprefix("..").removesuffix("..").partition("...")[0]
    identifier = first.rpartition(".")[0]
    return str(json.loads(identifier)["type"]) if identifier.startswith("{") else identifier


class CallbackGuard:
    """ASGI middleware in front of Dash, behind authorization; ``callbacks`` are those of the pages, by their outputs."""

    def __init__(self, app: Any, callbacks: Mapping[str, Any]) -> None:
        self._app, self._callbacks = app, callbacks

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            document = _parse(scope["footprint.body"])
            output = document.get("output")
            callback = self._callbacks.get(output) if isinstance(output, str) else None
            if callback is None or not decide(current_role(), f"callback:{callback_name(str(output))}"):
                await JSONResponse({"error": "no such callback"}, 404)(scope, receive, send)
                return
            _check(document, callback)
        except BadRequest as error:
            await JSONResponse({"error": str(error)}, 400)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("the body is not a JSON object")
    if _depth(document, MAX_DEPTH) > MAX_DEPTH:
        raise BadRequest("the body is nested too deeply")
    return document


def _depth(value: Any, limit: int) -> int:
    if limit < 0 or not isinstance(value, dict | list):
        return 0
    children = value.values() if isinstance(value, dict) else value
    return 1 + max((_depth(child, limit - 1) for child in children), default=0)


def _check(document: dict[str, Any], callback: Mapping[str, Any]) -> None:
    """Check that inputs and state are those of the callback, in its order, with values of their kinds."""
    wildcards: set[str] = set()
    for key in ("inputs", "state"):
        expected, sent = callback[key], document.get(key, [])
        if not isinstance(sent, list) or len(sent) != len(expected):
            raise BadRequest(f"{key} are not those of the callback")
        for argument, declared in zip(sent, expected, strict=True):
            _check_argument(argument, declared, wildcards)
    if len(wildcards) > 1:
        raise BadRequest("the inputs are of several elements")
    _check_outputs(document, callback_outputs(document["output"]), wildcards)
    changed = document.get("changedPropIds", [])
    if not isinstance(changed, list) or not all(isinstance(name, str) and len(name) <= MAX_TEXT_LENGTH for name in changed):
        raise BadRequest("changedPropIds is not a list of texts")


def callback_outputs(output: str) -> list[tuple[str, str]]:
    """(identifier, property) of the outputs of a callback."""
    names = output.removeprefix("..").removesuffix("..").split("...")
    pairs = (name.rpartition(".") for name in names)
    return [(identifier, part) for identifier, _, part in pairs]


def _check_argument(argument: Any, declared: Mapping[str, str], wildcards: set[str]) -> None:
    if not isinstance(argument, dict) or argument.get("property") != declared["property"]:
        raise BadRequest("an input is not one of the callback")
    identifier, value = argument.get("id"), argument.get("value")
    if declared["id"].startswith("{"):
        wildcards.add(_element_name(identifier, declared["id"]))
        if value != identifier:
            raise BadRequest("the identifier of an element is not its own")
        return
    name = f"{declared['id']}.{declared['property']}"
    if identifier != declared["id"] or not _is_of_kind(value, VALUE_KINDS.get(name, ())):
        raise BadRequest(f"the value of {name} is not of its kind")
    if name == "language.data" and value not in LANGUAGES:
        raise BadRequest(f"no such language; there are {', '.join(LANGUAGES)}")


def _is_of_kind(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool) and bool not in kinds:
        return False  # a bool is an int for Python alone
    return isinstance(value, kinds) and not (isinstance(value, str) and (len(value) > MAX_TEXT_LENGTH or not _is_clean(value)))


def _is_clean(text: str) -> bool:
    """Whether a text can be stored and printed: no NUL, and no half of a character."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _element_name(identifier: Any, pattern: str) -> str:
    """Name of the element of a pattern."""
    declared = json.loads(pattern)
    names = identifier.get("name") if isinstance(identifier, dict) and set(identifier) == set(declared) else None
    if not isinstance(names, str) or identifier["type"] != declared["type"] or not _is_of_kind(names, (str,)):
        raise BadRequest("the identifier of an element is not of its pattern")
    return names


def _check_outputs(document: dict[str, Any], expected: list[tuple[str, str]], wildcards: set[str]) -> None:
    sent = document.get("outputs")
    is_multiple = document["output"].startswith("..")
    outputs = sent if is_multiple else [sent]
    if not isinstance(outputs, list) or len(outputs) != len(expected):
        raise BadRequest("outputs are not those of the callback")
    for output, (identifier, part) in zip(outputs, expected, strict=True):
        if not isinstance(output, dict) or output.get("property") != part:
            raise BadRequest("outputs are not those of the callback")
        is_own = (
            _element_name(output.get("id"), identifier) in wildcards
            if identifier.startswith("{")
            else output.get("id") == identifier
        )
        if not is_own:
            raise BadRequest("outputs are not those of the callback")
