"""Spans of OTLP that are calls of a model: recognised by operation and parentage, whatever kind a library gives them.

Agents, chains and tools repeat the tokens of their calls, and so does a call around another one. A server's own span is the other
side of a call that its client sends. What is passed over is counted by reason.

Attributes follow the conventions of OpenTelemetry for generative AI, of now and of before (gen_ai.*, llm.*), those of
OpenInference and those of Vercel's AI SDK. Only those named here and in the map ``otlp`` are read.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

SERVER, CLIENT = 2, 3
NO_CALLS = "spans that are no calls of a model"
AGENT_SPANS, AROUND_SPANS = "spans of agents and tools, whose calls count", "spans around a call that counts"
INNER_SPANS = "spans within a call that counts"
REPEATS = (AGENT_SPANS, AROUND_SPANS, INNER_SPANS)
MAX_REMEMBERED = 20_000  # spans that repeat a call which an earlier export brought
_MAX_DEPTH = 64  # of spans within each other; a ring of parents ends there
_MAX_NANO_S = 7 * 86_400 * 10**9

_OPERATION = "gen_ai.operation.name"
# Words of operations that are no calls; each library has its own names of calls (chat, acompletion, embeddings, speech).
_OTHER_WORK = ("agent", "tool", "workflow", "chain", "task", "step", "retriev", "search", "memory", "guardrail", "evaluat")
_CALL_KINDS = frozenset(
    {"llm", "embedding", "reranker", "generation"}
)  # of OpenInference and Langfuse; traceloop has none for calls
_OTHER_KINDS = ("openinference.span.kind", "traceloop.span.kind", "langfuse.observation.type")
_NOT_CALLS = ("invoke_agent", "create_agent", "invoke_workflow", "execute_tool", "agent.", "tool.", "workflow.", "task.")  # names
# Other conventions, by the name that the map reads.
_SAME: dict[str, tuple[str, ...]] = {
    "gen_ai.request.model": ("llm.request.model", "llm.model_name", "embedding.model_name", "reranker.model_name", "ai.model.id"),
    "gen_ai.usage.input_tokens": (
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    "gen_ai.usage.output_tokens": (
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    "gen_ai.usage.cache_read.input_tokens": (
        "gen_ai.usage.cached_input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.cachedInputTokens",
    ),
}
_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
_SIGNS = (_OPERATION, "gen_ai.provider.name", "gen_ai.system", "llm.request.model", *_TOKENS)
# Time from the start to the first token: name, and nanoseconds in its unit.
_FIRST_TOKEN = (
    ("gen_ai.response.time_to_first_chunk", 10**9),
    ("gen_ai.latency.time_to_first_token", 10**9),
    ("gen_ai.server.time_to_first_token", 10**9),
    ("ai.response.msToFirstChunk", 10**6),
)
_CANCELLED = ("cancel", "aborterror", "disconnected")
Span = dict[str, Any]


class CallSpans:
    """Calls among spans, and memory of those whose parents are still to come."""

    def __init__(self) -> None:
        self._repeats: OrderedDict[tuple[str, str], None] = OrderedDict()  # (trace, span) around a call that was taken

    def select(self, spans: Iterable[Span], reasons: Counter[str]) -> list[Span]:
        """The spans that are calls, each with ``kind`` client and the attributes that the map reads."""
        calls = []
        ordered = _inner_first(list(spans))
        with_tokens = {_identity(span) for span in ordered if _is_call(span) and _has_tokens(_common(span["attributes"]))}
        for span in ordered:
            attributes = _common(span["attributes"])
            is_around = _identity(span) in self._repeats
            reason = self._passed_over(span, attributes, with_tokens)
            is_call = not reason and _is_model_span(attributes)
            if reason or not is_call:
                reasons[reason or NO_CALLS] += 1
                if is_around:
                    self._remember(span)
                continue
            self._remember(span)
            calls.append(_call(span, attributes))
        return calls

    def _passed_over(self, span: Span, attributes: Mapping[str, Any], with_tokens: set[tuple[str, str]]) -> str:
        if not _is_model_span(attributes):
            return ""
        if not _is_call(span):
            return AGENT_SPANS
        if span["kind"] == SERVER:
            return "spans of servers, whose clients' spans count"
        if _identity(span) in self._repeats:
            return AROUND_SPANS
        if not _has_tokens(attributes) and (span["trace"], span["parent"]) in with_tokens:
            return INNER_SPANS
        return ""

    def _remember(self, span: Span) -> None:
        """The parent of a call, and the parent of what is around one, repeat it."""
        if span["parent"]:
            self._repeats[span["trace"], span["parent"]] = None
            while len(self._repeats) > MAX_REMEMBERED:
                self._repeats.popitem(last=False)


def _identity(span: Span) -> tuple[str, str]:
    return span["trace"], span["span"]


def _inner_first(spans: list[Span]) -> list[Span]:
    """Spans with each before those around it, else in the order in which they end."""
    parents = {_identity(span): span["parent"] for span in spans}

    def depth(span: Span) -> int:
        identity, levels = _identity(span), 0
        while identity in parents and levels < _MAX_DEPTH:
            identity, levels = (span["trace"], parents[identity]), levels + 1
        return levels

    return sorted(spans, key=lambda span: (-depth(span), _nanoseconds(span["end_unix_ns"])))


def _nanoseconds(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _common(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes, with those of other conventions under the name that the map reads."""
    common = dict(attributes)
    for name, others in _SAME.items():
        value = next((attributes[other] for other in others if attributes.get(other) is not None), None)
        if common.get(name) is None and value is not None:
            common[name] = value
    return common


def _is_model_span(attributes: Mapping[str, Any]) -> bool:
    return any(attributes.get(name) is not None for name in (*_SIGNS, *_OTHER_KINDS))


def is_call_operation(operation: str) -> bool:
    """Whether an operation is a call of a model, and not the work of an agent, a tool or a chain around calls."""
    return not any(word in operation.lower() for word in _OTHER_WORK)


def _is_call(span: Span) -> bool:
    """Whether a span of a model is a call: by its operation, else by the kind of another convention, else by its name."""
    attributes = span["attributes"]
    operation = attributes.get(_OPERATION)
    if operation is not None:
        return is_call_operation(str(operation))
    kind = next((attributes[name] for name in _OTHER_KINDS if attributes.get(name) is not None), None)
    if kind is not None:
        return str(kind).lower() in _CALL_KINDS
    return not str(span["name"] or "").lower().startswith(_NOT_CALLS)


def _has_tokens(attributes: Mapping[str, Any]) -> bool:
    return any(attributes.get(name) is not None for name in _TOKENS)


def _call(span: Span, attributes: dict[str, Any]) -> Span:
    attributes.setdefault(_OPERATION, "chat")
    error = str(attributes.get("error.type", "")).lower()
    status = "cancelled" if any(word in error for word in _CANCELLED) else span["status_code"]
    return {
        **span,
        "attributes": attributes,
        "kind": CLIENT,
        "status_code": status,
        "first_token_unix_ns": _first_token_ns(span, attributes),
    }


def _first_token_ns(span: Span, attributes: Mapping[str, Any]) -> str | None:
    for name, scale in _FIRST_TOKEN:
        value = attributes.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value * scale < _MAX_NANO_S:
            return str(_nanoseconds(span["start_unix_ns"]) + round(value * scale))
    return None
