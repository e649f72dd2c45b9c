"""Steady state of a point and the requests served in it. Pure.

The steady state lasts from when all requests in flight have their first token until the last instant with full concurrency (same
rule as ML.ENERGY benchmark v3): ramp-up and drain are no operating state of a service. Energy per token is the energy of this
window over the output tokens that arrive in it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from footprint.benchmark.result import Steady


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One request: instants [s] of one clock; ``arrivals`` of the pieces that carry its tokens."""

    prompt: int  # index of the prompt
    start_s: float
    end_s: float
    arrivals: tuple[float, ...]
    input_tokens: int
    output_tokens: int

    @property
    def first_s(self) -> float:
        """Arrival of the first token [s]."""
        return self.arrivals[0]

    def share(self, begin_s: float, end_s: float) -> float:
        """Share of its tokens that arrive in (begin, end]."""
        within = bisect_right(self.arrivals, end_s) - bisect_right(self.arrivals, begin_s)
        return within / len(self.arrivals)


def steady_window(answered: Sequence[AnsweredRequest], concurrency: int) -> tuple[float, float] | None:
    """(begin, end) [s] of the steady state; None if the concurrency was never reached, or not for any time."""
    if len(answered) < concurrency:
        return None
    begin = sorted(request.first_s for request in answered)[concurrency - 1]
    end = sorted(request.end_s for request in answered)[len(answered) - concurrency]
    return (begin, end) if end > begin else None


def mean_lengths(points: Iterable[Sequence[tuple[int, float, float]]]) -> dict[int, float]:
    """Mean output tokens of each prompt over points of (prompt, requests, output tokens)."""
    requests: dict[int, float] = {}
    tokens: dict[int, float] = {}
    for point in points:
        for prompt, count, output_tokens in point:
            requests[prompt] = requests.get(prompt, 0.0) + count
            tokens[prompt] = tokens.get(prompt, 0.0) + output_tokens
    return {prompt: tokens[prompt] / count for prompt, count in requests.items() if count > 0}


def prompt_mix(drawn: Sequence[tuple[int, float, float]], mean_length: dict[int, float]) -> float:
    """Mean answer length over all prompts divided by that of the drawn prompts; makes two draws comparable."""
    overall_mean = sum(mean_length.values()) / len(mean_length)
    drawn_mean = sum(count * mean_length[prompt] for prompt, count, _ in drawn) / sum(count for _, count, _ in drawn)
    return overall_mean / drawn_mean


def drawn_prompts(answered: Sequence[AnsweredRequest], begin_s: float, end_s: float) -> list[tuple[int, float, float]]:
    """(prompt, requests, output tokens) of a window, by prompt; requests that its ends cut count by their share."""
    totals: dict[int, tuple[float, float]] = {}
    for request in answered:
        share = request.share(begin_s, end_s)
        if share > 0:
            count, tokens = totals.get(request.prompt, (0.0, 0.0))
            totals[request.prompt] = count + share, tokens + share * request.output_tokens
    return [(prompt, *amounts) for prompt, amounts in sorted(totals.items())]


def steady_figures(
    answered: Sequence[AnsweredRequest], begin_s: float, end_s: float, *, failed: int = 0, client_busy: float = 0.0
) -> Steady:
    """Requests served in a window; latencies of requests that start, and of tokens that arrive, within it."""
    shares = [(request, request.share(begin_s, end_s)) for request in answered]
    firsts = sorted(e.first_s - e.start_s for e in answered if begin_s <= e.start_s and e.first_s <= end_s)
    firsts = firsts or sorted(e.first_s - e.start_s for e in answered)  # one long answer fills the window
    gaps = sorted(gap for request in answered for gap in _token_intervals(request, begin_s, end_s))
    return Steady(
        requests=sum(share for _, share in shares),
        output_tokens=sum(share * request.output_tokens for request, share in shares),
        input_tokens=sum(share * request.input_tokens for request, share in shares),
        in_flight=_mean_count([(e.start_s, e.end_s) for e in answered], begin_s, end_s),
        decoding=_mean_count([(e.first_s, e.end_s) for e in answered], begin_s, end_s),
        answered=sum(begin_s < request.end_s <= end_s for request in answered),
        failed=failed,
        ttft_p50_s=interpolated_quantile(firsts, 50),
        ttft_p95_s=interpolated_quantile(firsts, 95),
        itl_p50_s=interpolated_quantile(gaps, 50) if gaps else None,
        itl_p95_s=interpolated_quantile(gaps, 95) if gaps else None,
        mix=1.0,
        client_busy=client_busy,
    )


def _token_intervals(request: AnsweredRequest, begin_s: float, end_s: float) -> list[float]:
    """Time between tokens [s]: between two pieces, divided by the mean number of tokens in a piece."""
    per_piece = max(request.output_tokens / len(request.arrivals), 1.0)
    low, high = bisect_left(request.arrivals, begin_s), bisect_right(request.arrivals, end_s)
    return [(after - before) / per_piece for before, after in pairwise(request.arrivals[low:high])]


def _mean_count(spans: Iterable[tuple[float, float]], begin_s: float, end_s: float) -> float:
    return sum(max(min(end, end_s) - max(start, begin_s), 0.0) for start, end in spans) / (end_s - begin_s)


def interpolated_quantile(ordered: Sequence[float], percent: int) -> float:
    """Percentile of sorted values, interpolated between the two nearest."""
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
