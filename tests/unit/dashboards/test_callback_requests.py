"""Callbacks as a hostile client calls them: never a server error, and nothing is read before the role is known."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from footprint.access.middleware import MAX_BODY_BYTES
from footprint.storage.database import Store
from tests.support.contract_files import config
from tests.support.page_requests import card_request, poll_request, shell_request
from tests.support.protected_quarter import FACTS, NOW_US, Reader, quarter, reader
from tests.support.services import local_client, pages_over

__all__ = ["quarter", "reader"]
PATH = "/_dash-update-component"
BODIES = [shell_request("/", "?lang=en"), card_request("head", "/?lang=en"), poll_request("/?lang=en")]
ROLES = ("public", "committee", "officer")
POWER = {
    "output": "power.figure",
    "outputs": {"id": "power", "property": "figure"},
    "inputs": [{"id": "live", "property": "n_intervals", "value": 1}],
    "changedPropIds": ["live.n_intervals"],
    "state": [{"id": "address", "property": "pathname", "value": "/hosts"}],
}
RAW = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"\xff\xfe",
    b"NaN",
    b"[" * 100_000,
    b'{"output":' * 20_000,
    b'{"output": ' + b"[" * 500 + b"]" * 500 + b"}",
    json.dumps(POWER).encode(),
    *(
        json.dumps({"output": output}).encode()
        for output in ("x", "", None, 1, [], {}, "..x..", "power.figure", "__class__", "..")
    ),
]


@pytest.mark.parametrize("raw", RAW, ids=[str(index) for index in range(len(RAW))])
def test_a_body_that_no_page_sends_is_refused(raw: bytes, reader: Reader) -> None:
    for role in ROLES:
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
            answer = reader(role).post(PATH, content=raw, headers={"Content-Type": kind})
            assert answer.status_code in (400, 404), (role, kind)
            assert "Traceback" not in answer.text


@pytest.mark.parametrize("body", BODIES, ids=["shell", "card", "poll"])
def test_a_part_that_is_missing_or_of_another_kind_is_refused(body: dict[str, Any], reader: Reader) -> None:
    browser = reader("officer")
    assert browser.post(PATH, json=body).status_code in (200, 204)
    for key in ("output", "outputs", "inputs", "state"):
        for value in (None, 1, "x", [], {}, [None], [[]], [{}], [{"id": "x"}], True):
            assert browser.post(PATH, json={**body, key: value}).status_code in (400, 404), (key, value)
        assert browser.post(PATH, json={name: part for name, part in body.items() if name != key}).status_code in (400, 404)
    for kind in ("inputs", "state"):
        for index, value in (
            (index, value) for index in range(len(body[kind])) for value in ([], {}, 1.5, "\0", "\ud800", ["x"])
        ):
            changed = copy.deepcopy(body)
            changed[kind][index]["value"] = value
            raw = json.dumps(changed)
            assert browser.post(PATH, content=raw, headers={"Content-Type": "application/json"}).status_code == 400, (kind, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)


@given(
    body=st.sampled_from(BODIES), key=st.sampled_from(["output", "outputs", "inputs", "state", "changedPropIds"]), data=st.data()
)
@settings(max_examples=60)
def test_no_change_of_a_request_is_a_server_error(body: dict[str, Any], key: str, data: st.DataObject, reader: Reader) -> None:
    changed = copy.deepcopy(body)
    if isinstance(changed[key], list) and changed[key] and data.draw(st.booleans()):
        changed[key][data.draw(st.integers(0, len(changed[key]) - 1))] = data.draw(JSON)
    else:
        changed[key] = data.draw(JSON)
    answer = reader("officer").post(PATH, content=json.dumps(changed), headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 204, 400, 404)


SEARCHES = [
    "?from=0001-01-01",
    "?to=9999-12-31",
    "?from=9999-12-31",
    "?period=9999",
    "?period=9999-Q4",
    "?period=1000",
    "?period=2999&vs=yoy",
    "?vs=1000",
    "?vs=2999-12&period=2026-Q3",
    "?from=now-999999w",
    "?from=now&to=now",
    "?from=2026-10-01&to=2026-01-01",
    "?period=2026-Q3&vs=yoy&from=0002-02-29",
    "?from=2024-02-29&to=2024-03-01&vs=yoy",
    "?name=" + "A" * 5000,
    "?figure=F-x&edition=../../x",
    "?kind=x&a=1&b=2",
    "?of=x&device=y&day=99999999999999",
    "?of=x&device=gpu:0&day=-99999999",
    "?of=x&device=gpu:0&day=--5",
    "?max_s=1e308&min_score=nan",
    "?" + "x=1&" * 2000,
    "?lang=xx&theme=1&view=2",
]


@pytest.mark.parametrize("search", SEARCHES)
def test_no_address_is_a_server_error(search: str, reader: Reader) -> None:
    for path in ("/", "/use-cases", "/compare", "/quality", "/explain", "/readings", "/hosts", "/editions"):
        assert reader("officer").get(f"{path}{search}").status_code == 200
        for body in (shell_request(path, search), card_request("head", path + search), poll_request(path + search)):
            assert reader("officer").post(PATH, json=body).status_code in (200, 204), (
                path,
                reader("officer").post(PATH, json=body).text,
            )


def test_a_body_above_the_limit_is_refused_unread(reader: Reader) -> None:
    for path in (PATH, "/auth/logout", "/api/v1/footprint", "/nothing"):
        answer = reader("officer").post(path, content=b" " * (MAX_BODY_BYTES + 1))
        assert answer.status_code == 413
        chunks = (b" " * 65_536 for _ in range(10_000))
        assert reader("officer").post(path, content=chunks).status_code == 413
    for length in ("-1", "x", "9" * 30, "+5", "1e3"):
        assert reader("officer").post(PATH, content=b"{}", headers={"Content-Length": length}).status_code == 413


@pytest.mark.parametrize(
    "path", ["x", "dash/x", "dash/../../x", "dash/%2e%2e/app.py", "nothing/x.js", "dash/deps/x@1.js", "%00/x", ""]
)
def test_a_library_file_that_is_not_there_is_not_found(path: str, sqlite: Store) -> None:
    browser: TestClient = local_client(pages_over(sqlite, config(FACTS), lambda: NOW_US))
    assert browser.get(f"/_dash-component-suites/{path}").status_code == 404
