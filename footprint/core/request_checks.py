"""Checks of requests: what cannot be right is refused, a field that cannot be is mended, what is odd is quarantined.

One judge for every door (files, the follower of logs, the wire, OTLP, Prometheus). The rules are comparisons and sums only, so
that they take the numbers of one request as well as columns of many. Standard library only, because the agent uses them.

A quarantined request counts as a request; what it may bear is bounded by ``longest_us`` and ``most_output_tokens``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from footprint.core.limits import MAX_REQUEST_US, MAX_REQUESTS, MAX_REQUESTS_PER_S, MAX_TOKENS_PER_REQUEST, MAX_WINDOW_US
from footprint.core.units import US_PER_S

UNKNOWN = -1  # an instant or a count that the log does not give
# Outcomes. What is implausible is refused too, unless a person insists (``--anyway``); it then stays in quarantine.
REFUSED, IMPLAUSIBLE, MENDED, QUARANTINED = "refused", "implausible", "mended", "quarantined"

STATUSES = ("ok", "error", "cancelled", "cached", "check", "evaluation")
# Requests that no model worked on: answered from a response cache, checks of health, and evaluations of earlier answers.
WITHOUT_WORK = ("cached", "check", "evaluation")

# The longest that a gateway or client waits by its own defaults is 6,000 s (LiteLLM's request_timeout); then the model works. A
# large model on a small CPU reads about 5 tokens a second and writes one in two seconds.
LONGEST_WAIT_US = 7_200 * US_PER_S
SLOWEST_INPUT_US, SLOWEST_OUTPUT_US = US_PER_S // 5, 2 * US_PER_S
# Wafer-scale machines write 3,000 tokens a second; a request may ask for several answers at once.
MOST_OUTPUT_TOKENS_PER_S = 20_000
# A large model on many accelerators reads 100,000 tokens a second; what a cache held that the log does not name is read faster.
MOST_INPUT_TOKENS_PER_S = 1_000_000
STAMP_US = 1_000  # finest step of timestamps that logs commonly have

TOO_LONG, TOO_FAST = "a duration that its tokens do not explain", "more tokens than a model reads or writes in the time"
UNLIKE_SERVICE = "far slower or faster than the others of its service"
LOG_STREAM = "log "  # of the key under which the quality of the log of a service is stored, before its name


@dataclass(frozen=True, slots=True)
class RequestNumbers:
    """Numbers of one request (int), or of many (integer arrays of one shape); UNKNOWN where the log gives none."""

    start_us: Any
    end_us: Any
    first_token_us: Any
    requests: Any
    input_tokens: Any
    cached_input_tokens: Any
    output_tokens: Any
    works: Any = True  # whether a model worked on it: its status is none of WITHOUT_WORK


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of a column: an outcome with its reason, and for which requests (bool, or an array of them)."""

    outcome: str
    column: str
    reason: str
    rows: Any


def examine(numbers: RequestNumbers) -> tuple[RequestNumbers, list[Finding]]:
    """The numbers with the fields mended that cannot be, and all findings, in the order of their weight for a row.

    Examples
    --------
    >>> numbers, findings = examine(RequestNumbers(0, 5, 5, 1, 12, 2495, 7))
    >>> numbers.first_token_us, numbers.input_tokens
    (-1, 2507)
    >>> [finding.reason for finding in findings if finding.rows]
    ['at or after the end, left out', 'beside input_tokens, added to it']
    """
    mended, mends = _mend(numbers)
    return mended, [*_impossible(mended), *mends, *_odd(mended)]


def _mend(numbers: RequestNumbers) -> tuple[RequestNumbers, list[Finding]]:
    first, end = numbers.first_token_us, numbers.end_us
    cached, inputs = numbers.cached_input_tokens, numbers.input_tokens
    has_first, has_end = first != UNKNOWN, end != UNKNOWN
    early = has_first & (first < numbers.start_us)
    late = has_first & has_end & (first >= end) & (first >= numbers.start_us)
    beside = (inputs >= 0) & (cached > inputs)
    works, outputs = numbers.works, numbers.output_tokens
    idle = (works == False) & ((inputs > 0) | (outputs > 0))  # noqa: E712 - of an array too
    mended = replace(
        numbers,
        first_token_us=first + (UNKNOWN - first) * (early | late | (works == False)),  # noqa: E712
        input_tokens=(inputs + cached * beside) * works,
        cached_input_tokens=cached * works,
        output_tokens=outputs * works,
    )
    return mended, [
        Finding(MENDED, "status", "a request without work, whose tokens no model read or wrote", idle),
        Finding(MENDED, "first_token", "before the start, left out", early),
        Finding(MENDED, "first_token", "at or after the end, left out", late),
        Finding(MENDED, "cached_input_tokens", "beside input_tokens, added to it", beside),
    ]


def _impossible(numbers: RequestNumbers) -> list[Finding]:
    requests, has_end = numbers.requests, numbers.end_us != UNKNOWN
    duration_us = (numbers.end_us - numbers.start_us) * has_end
    at_most = MAX_TOKENS_PER_REQUEST * _least(requests, MAX_REQUESTS)
    too_many = (requests > MAX_REQUESTS) | (has_end & (requests > MAX_REQUESTS_PER_S * (duration_us // US_PER_S + 1)))
    return [
        Finding(REFUSED, "end", "before start", duration_us < 0),
        Finding(REFUSED, "requests", "must be at least 1", requests < 1),
        Finding(IMPLAUSIBLE, "end", "a request longer than 7 days", (requests == 1) & (duration_us > MAX_REQUEST_US)),
        Finding(IMPLAUSIBLE, "end", "a window longer than 62 days", duration_us > MAX_WINDOW_US),
        Finding(IMPLAUSIBLE, "requests", "more requests than a service answers in the time", too_many),
        Finding(IMPLAUSIBLE, "input_tokens", "more tokens than a model takes or gives", numbers.input_tokens > at_most),
        Finding(IMPLAUSIBLE, "output_tokens", "more tokens than a model takes or gives", numbers.output_tokens > at_most),
    ]


def _odd(numbers: RequestNumbers) -> list[Finding]:
    has_end = numbers.end_us != UNKNOWN
    return [
        Finding(QUARANTINED, "end", TOO_LONG, has_end & (numbers.end_us - numbers.start_us > longest_us(numbers))),
        Finding(QUARANTINED, "output_tokens", TOO_FAST, has_end & (numbers.output_tokens > most_output_tokens(numbers))),
        Finding(QUARANTINED, "input_tokens", TOO_FAST, has_end & (fresh_tokens(numbers) > most_input_tokens(numbers))),
    ]


def longest_us(numbers: RequestNumbers) -> Any:
    """The longest that requests of these tokens can credibly take, waiting included [µs]; of windows, 62 days."""
    inputs, outputs = (_least(count, MAX_TOKENS_PER_REQUEST) for count in (numbers.input_tokens, numbers.output_tokens))
    working_us = LONGEST_WAIT_US + SLOWEST_INPUT_US * (inputs * (inputs > 0)) + SLOWEST_OUTPUT_US * (outputs * (outputs > 0))
    is_known = (inputs >= 0) | (outputs >= 0)
    single_us = MAX_REQUEST_US + (_least(working_us, MAX_REQUEST_US) - MAX_REQUEST_US) * is_known
    return single_us + (MAX_WINDOW_US - single_us) * (numbers.requests > 1)


def credible_end_us(numbers: RequestNumbers) -> Any:
    """The end, but no later than a request of these tokens can credibly last; UNKNOWN where it is."""
    limit_us = numbers.start_us + longest_us(numbers)
    has_end = numbers.end_us != UNKNOWN
    return numbers.end_us + (limit_us - numbers.end_us) * (has_end & (numbers.end_us > limit_us))


def most_output_tokens(numbers: RequestNumbers) -> Any:
    """The most tokens that a model credibly writes for requests of this duration."""
    return at_most_us(numbers) / US_PER_S * MOST_OUTPUT_TOKENS_PER_S * numbers.requests


def most_input_tokens(numbers: RequestNumbers) -> Any:
    """The most input tokens, beside cached ones, that a model credibly reads for requests of this duration."""
    return at_most_us(numbers) / US_PER_S * MOST_INPUT_TOKENS_PER_S * numbers.requests


def fresh_tokens(numbers: RequestNumbers) -> Any:
    """Input tokens that no cache held; UNKNOWN or less where the log gives none."""
    return numbers.input_tokens - numbers.cached_input_tokens * (numbers.cached_input_tokens > 0)


def at_most_us(numbers: RequestNumbers) -> Any:
    """The longest that requests can have lasted by their stamps, which may be in whole seconds or minutes [µs]."""
    stamp_us: Any = STAMP_US
    for step_us in (US_PER_S, 60 * US_PER_S):
        is_coarse = (numbers.start_us % step_us == 0) & (numbers.end_us % step_us == 0)
        stamp_us = stamp_us + (step_us - stamp_us) * is_coarse
    return numbers.end_us - numbers.start_us + stamp_us


def _least(values: Any, limit: int) -> Any:
    return limit + (values - limit) * (values < limit)


def reason_of(finding: Finding) -> str:
    """The column and the reason, as counters and pages name them."""
    return f"{finding.column}: {finding.reason}"


def count_findings(findings: list[Finding], outcome: str, counts: Counter[str]) -> None:
    """Add the findings of an outcome to counts by reason; of many rows, those marked."""
    for finding in findings:
        if finding.outcome == outcome and (number := int(finding.rows if isinstance(finding.rows, bool) else finding.rows.sum())):
            counts[reason_of(finding)] += number
