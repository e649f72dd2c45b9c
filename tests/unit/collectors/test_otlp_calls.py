"""Calls among spans and windows among metrics: every type and temporality, whole attribute sets, resets; what is passed over is told."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collectors.otlp import OtlpReceiver, parse_export, points_of, spans_of
from collectors.otlp_metrics import MAX_SERIES, TokenWindows
from collectors.otlp_spans import CallSpans
from footprint.core.records import RequestRecord, from_line
from tests.unit.collectors.test_otlp import attributes, metric, traces

AT = 1_760_000_000
Span = dict[str, Any]


def span(identity: str, begin: float, end: float, parent: str = "", kind: int = 3, name: str = "chat m", **values: Any) -> Span:
    return {
        "traceId": "a1",
        "spanId": identity,
        "parentSpanId": parent,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(round((AT + begin) * 10**9)),
        "endTimeUnixNano": str(round((AT + end) * 10**9)),
        "attributes": attributes(**values),
    }


def chat(identity: str, begin: float, end: float, parent: str = "", inputs: int = 100, outputs: int = 10, **options: Any) -> Span:
    values = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "m", "gen_ai__usage__input_tokens": inputs}
    return span(identity, begin, end, parent, **values | {"gen_ai__usage__output_tokens": outputs} | options)


def agent(identity: str, begin: float, end: float, parent: str = "", **options: Any) -> Span:
    return chat(identity, begin, end, parent, 200, 20, **{"gen_ai__operation__name": "invoke_agent"} | options)


def openinference(identity: str, begin: float, end: float, parent: str, kind: str) -> Span:
    values = {"openinference__span__kind": kind, "llm__token_count__prompt": 100, "llm__token_count__completion": 10}
    return span(identity, begin, end, parent, 1, **values, llm__model_name="m")


CASES: dict[str, list[Span]] = {
    "agent by its operation": [chat("1", 0, 2), chat("2", 2, 4), agent("3", 0, 4)],
    "agent of kind internal": [chat("1", 0, 2, kind=1), chat("2", 2, 4, kind=1), agent("3", 0, 4, kind=1)],
    "agent by its name": [
        chat("1", 0, 2),
        chat("2", 2, 4),
        span("3", 0, 4, name="invoke_agent x", gen_ai__system="x", gen_ai__usage__input_tokens=200),
    ],
    "around its calls, by parentage": [chat("3", 0, 4, "", 200, 20), chat("1", 0, 2, "3"), chat("2", 2, 4, "3")],
    "around what is around its calls": [
        chat("9", 0, 4, "", 200, 20),
        span("3", 0, 4, "9", 1, "step"),
        chat("1", 0, 2, "3"),
        chat("2", 2, 4, "3"),
    ],
    "a detail of a call without tokens": [
        chat("1", 0, 2),
        span("4", 0, 2, "1", name="raw_gen_ai_request", gen_ai__system="openai"),
        chat("2", 2, 4),
    ],
    "tools and other work": [
        chat("1", 0, 2),
        chat("2", 2, 4),
        span("5", 1, 2, "", 1, gen_ai__operation__name="execute_tool", gen_ai__tool__name="t"),
        span("6", 0, 1, "", 2, http__method="GET"),
    ],
    "the server's side": [chat("1", 0, 2), chat("2", 2, 4), chat("7", 0, 2, kind=2), chat("8", 0, 2, kind=5)],
    "OpenInference": [
        openinference("3", 0, 4, "", "AGENT"),
        openinference("4", 0, 4, "3", "CHAIN"),
        openinference("1", 0, 2, "4", "LLM"),
        openinference("2", 2, 4, "4", "LLM"),
    ],
    "operations with names of their own": [
        chat("1", 0, 2, gen_ai__operation__name="acompletion"),
        chat("2", 2, 4, gen_ai__operation__name="responses"),
        chat("3", 0, 4, gen_ai__operation__name="run_agent_step"),
        chat("4", 0, 4, gen_ai__operation__name="execute_tool"),
    ],
    "AI SDK": [
        span("3", 0, 4, "", 1, ai__usage__promptTokens=200, ai__usage__completionTokens=20, ai__model__id="m"),
        chat("1", 0, 2, "3", kind=1),
        chat("2", 2, 4, "3", kind=1),
    ],
}


def tokens_of(call: Span) -> tuple[Any, Any]:
    return call["attributes"].get("gen_ai.usage.input_tokens"), call["attributes"].get("gen_ai.usage.output_tokens")


@pytest.mark.parametrize("name", CASES)
def test_two_calls_are_two_calls_whatever_is_around_them(name: str) -> None:
    reasons: Counter[str] = Counter()
    calls = CallSpans().select(spans_of(traces(*CASES[name])), reasons)
    assert [tokens_of(call) for call in calls] == [(100, 10), (100, 10)]
    assert reasons.total() == len(CASES[name]) - 2


def test_a_parent_that_comes_in_a_later_export_is_known() -> None:
    reasons: Counter[str] = Counter()
    select = CallSpans().select
    first = select(spans_of(traces(chat("1", 0, 2, "3"), chat("2", 2, 4, "3"))), reasons)
    assert (len(first), select(spans_of(traces(chat("3", 0, 4, "", 200, 20))), reasons)) == (2, [])
    assert reasons == {"spans around a call that counts": 1}


def test_cancelled_calls_and_times_to_the_first_token_are_read(tmp_path: Path) -> None:
    lines: list[str] = []
    receiver = OtlpReceiver(0, "spans", lines.extend)
    try:
        spans = [
            chat("1", 0, 2, gen_ai__response__time_to_first_chunk=0.5),
            chat("2", 2, 4, error__type="asyncio.CancelledError"),
            chat("3", 4, 6, inputs=12, gen_ai__usage__cache_read__input_tokens=2495),
        ]
        assert receiver.receive("/v1/traces", traces(*spans)) == Counter()
        assert receiver.mended == {"cached_input_tokens: beside input_tokens, added to it": 1}
        late = receiver.receive("/v1/traces", traces(chat("4", 9, 8)))
        assert late == {"requests that cannot be (end: before start)": 1}
    finally:
        receiver.close()
    records = [from_line(line) for line in lines]
    assert all(isinstance(record, RequestRecord) for record in records)
    assert [
        (r.status, r.first_token_us and r.first_token_us - r.start_us, r.input_tokens)  # type: ignore[union-attr]
        for r in records
    ] == [("ok", 500_000, 100), ("cancelled", None, 100), ("ok", None, 2507)]


Total = tuple[int, int, int]  # requests, input, output


def histogram(count: int, total: float) -> dict[str, Any]:
    return {"count": str(count), "sum": total, "bucketCounts": [str(count)]}


def point(kind: str, count: int, total: float, begin_s: int, end_s: int, **values: Any) -> dict[str, Any]:
    body = {"asInt": str(round(total))} if kind in ("sum", "gauge") else {"count": str(count), "sum": total}
    return {
        **body,
        "startTimeUnixNano": str((AT + begin_s) * 10**9),
        "timeUnixNano": str((AT + end_s) * 10**9),
        "attributes": attributes(**{"gen_ai__request__model": "m"} | values),
    }


def export(kind: str, temporality: int, end_s: int, amounts: dict[str, Total], begin_s: int = 0) -> dict[str, Any]:
    points = [
        point(kind, count, total, begin_s, end_s, server__address=address, gen_ai__token__type=token_type)
        for address, (count, inputs, outputs) in amounts.items()
        for token_type, total in (("input", inputs), ("output", outputs))
    ]
    return metric("gen_ai.client.token.usage", kind, *points, temporality=temporality)


def durations(kind: str, temporality: int, end_s: int, counts: dict[str, int], begin_s: int = 0) -> dict[str, Any]:
    points = [point(kind, count, count * 2.5, begin_s, end_s, server__address=address) for address, count in counts.items()]
    return metric("gen_ai.client.operation.duration", kind, *points, temporality=temporality)


def summed(windows: list[dict[str, Any]]) -> Total:
    names = ("requests", "input_tokens", "output_tokens")
    return tuple(sum(window.get(name, 0) for window in windows) for name in names)  # type: ignore[return-value]


STEPS = [
    {"a": (10, 1000, 500), "b": (5, 300, 100)},
    {"a": (20, 2000, 1000), "b": (10, 600, 200)},
    {"a": (30, 3000, 1500), "b": (15, 900, 300)},
]


@pytest.mark.parametrize("wire", ["json", "protobuf"])
@pytest.mark.parametrize("kind", ["histogram", "exponentialHistogram", "summary", "sum"])
def test_cumulative_series_of_two_replicas_add_up(kind: str, wire: str) -> None:
    windows, rows, reasons = TokenWindows(), [], Counter[str]()
    for number, amounts in enumerate(STEPS):
        documents = [export(kind, 2, 60 * (number + 1), amounts)]
        if kind == "sum":  # a counter does not say how many calls
            documents.append(
                durations("histogram", 2, 60 * (number + 1), {name: count for name, (count, _, _) in amounts.items()})
            )
        documents[0]["resourceMetrics"] += [resource for document in documents[1:] for resource in document["resourceMetrics"]]
        document = documents[0]
        if wire == "protobuf":
            body = ParseDict(document, ExportMetricsServiceRequest(), ignore_unknown_fields=True).SerializeToString()
            document = parse_export("/v1/metrics", "application/x-protobuf", body)  # type: ignore[assignment]
        rows += windows.add(points_of(document), reasons)
    assert summed(rows) == (30, 2600, 1200)
    assert not reasons
    assert len({row["id"] for row in rows}) == len(rows) == 4
    assert {row["replica"] for row in rows} == {"a", "b"}


@pytest.mark.parametrize("kind", ["histogram", "exponentialHistogram"])
def test_deltas_count_as_they_come_and_a_repeat_has_the_same_id(kind: str) -> None:
    windows, reasons = TokenWindows(), Counter[str]()
    first = windows.add(points_of(export(kind, 1, 60, STEPS[0])), reasons)
    again = windows.add(points_of(export(kind, 1, 60, STEPS[0])), reasons)
    assert (summed(first), first) == ((15, 1300, 600), again)


def test_output_alone_gives_the_number_of_calls() -> None:
    only = metric(
        "gen_ai.client.token.usage", "histogram", point("histogram", 40, 8000, 0, 60, gen_ai__token__type="output"), temporality=1
    )
    assert summed(TokenWindows().add(points_of(only), Counter())) == (40, 0, 8000)


def test_a_series_for_each_call_counts_from_zero() -> None:
    """As LiteLLM writes them: identifiers of the call are attributes, so that each series has one call."""
    windows, rows = TokenWindows(), []
    for cycle in range(1, 4):
        points = [
            point("histogram", 1, 100, 0, 60 * cycle, gen_ai__token__type=kind, call_id=f"{number}")
            for number in range(3 * cycle)
            for kind in ("input", "output")
        ]
        rows += windows.add(points_of(metric("gen_ai.client.token.usage", "histogram", *points)), Counter())
    assert summed(rows) == (6, 600, 600)  # those of before the first export are not known


def test_what_began_after_the_receiver_counts_from_its_start() -> None:
    windows = TokenWindows(now_ns=(AT - 5) * 10**9)
    rows = [
        row
        for number in range(3)
        for row in windows.add(points_of(export("histogram", 2, 60 * (number + 1), STEPS[number])), Counter())
    ]
    assert summed(rows) == (45, 3900, 1800)


def test_resets_late_and_repeated_points_lose_and_double_nothing() -> None:
    windows, reasons, rows = TokenWindows(), Counter[str](), []
    exports = [
        export("histogram", 2, 60, STEPS[0]),
        export("histogram", 2, 120, STEPS[1]),
        export("histogram", 2, 120, STEPS[1]),  # sent again
        export("histogram", 2, 90, STEPS[0]),  # out of order
        export("histogram", 2, 240, {"a": (2, 20, 10)}, begin_s=200),  # started anew
        export("histogram", 2, 300, {"a": (3, 30, 15)}, begin_s=200),
    ]
    for document in exports:
        rows += windows.add(points_of(document), reasons)
    assert summed(rows) == (15 + 2 + 1, 1300 + 20 + 10, 600 + 10 + 5)
    assert reasons == {"points that come after later ones": 4}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (export("gauge", 0, 60, STEPS[0]), "gauges of tokens or calls, which do not add up"),
        (export("histogram", 0, 60, STEPS[0]), "metrics without a temporality"),
        (
            metric("gen_ai.client.token.usage", "histogram", point("histogram", 1, 5, 0, 60, gen_ai__token__type="thoughts")),
            "tokens of a type that is not known",
        ),
        (
            metric(
                "gen_ai.client.token.usage",
                "histogram",
                point("histogram", 1, 5, 0, 60, gen_ai__token__type="input", gen_ai__operation__name="invoke_agent"),
            ),
            "metrics of agents and tools, whose calls count",
        ),
    ],
)
def test_metrics_that_are_not_taken_are_told(document: dict[str, Any], reason: str) -> None:
    receiver = OtlpReceiver(0, "metrics", lambda _: None)
    try:
        assert set(receiver.receive("/v1/metrics", document)) == {reason}
        assert receiver.reasons[reason] > 0
    finally:
        receiver.close()


def test_the_memory_of_series_is_bounded_and_what_it_cannot_hold_is_told() -> None:
    windows, reasons, rows = TokenWindows(), Counter[str](), []
    for cycle in range(1, 3):
        for begin in range(0, MAX_SERIES + 500, 500):
            points = [
                point("histogram", cycle, cycle, 0, 60 * cycle, gen_ai__token__type="input", n=number)
                for number in range(begin, begin + 500)
            ]
            rows += windows.add(points_of(metric("gen_ai.client.token.usage", "histogram", *points)), reasons)
    assert summed(rows)[0] == MAX_SERIES
    assert reasons == {"more series of tokens than the agent remembers": 1000}


@pytest.mark.parametrize("case", ["11-otlp-invoke-agent", "12-otlp-internal-and-server-spans"])
def test_what_is_passed_over_is_in_the_answer(case: str) -> None:
    spans = {"11": CASES["agent by its operation"], "12": [chat("1", 0, 1, kind=1), chat("2", 2, 3, kind=2)]}[case[:2]]
    lines: list[str] = []
    receiver = OtlpReceiver(0, "spans", lines.extend)
    try:
        answer = receiver.receive("/v1/traces", traces(*spans))
    finally:
        receiver.close()
    assert len(lines) == {"11": 2, "12": 1}[case[:2]]
    assert answer.total() == 1
    assert json.loads(json.dumps(answer))
