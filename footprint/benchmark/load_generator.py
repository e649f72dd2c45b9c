"""Load generator: keeps a constant number of requests in flight until a point is long enough, then lets them finish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from footprint.benchmark.openai_client import EndpointError, RequestFailed
from footprint.benchmark.steady_state import AnsweredRequest

# send_request(prompt, on_first) -> the answer; any error other than RequestFailed ends the point.
SendRequest = Callable[[int, Callable[[], None]], Awaitable[AnsweredRequest]]
# remaining_wait_s(begin [s]) -> seconds to wait before the next check, 0 once the point is long enough.
RemainingWait = Callable[[float], Awaitable[float]]
MIN_REQUESTS = 20  # before the share of failures is checked
MAX_FAILED_SHARE = 1 / 20


@dataclass(slots=True)
class LoadResult:
    """Answers of a point, and the number of failed requests."""

    answered: list[AnsweredRequest] = field(default_factory=list)
    failed: int = 0


async def generate_load(
    send_request: SendRequest, prompts: Iterator[int], concurrency: int, remaining_wait_s: RemainingWait
) -> LoadResult:
    """Answers of a point; each request is replaced when it ends.

    The point starts once ``concurrency`` requests have their first token.

    Raises
    ------
    EndpointError
        If more than one request in twenty fails.
    """
    result = LoadResult()
    first_tokens, saturated, stop = 0, asyncio.Event(), asyncio.Event()

    def on_first() -> None:
        nonlocal first_tokens
        first_tokens += 1
        if first_tokens >= concurrency:
            saturated.set()

    async def keep_busy() -> None:
        while not stop.is_set():
            try:
                result.answered.append(await send_request(next(prompts), on_first))
            except RequestFailed as error:
                result.failed += 1
                attempts = result.failed + len(result.answered)
                if attempts >= MIN_REQUESTS and result.failed > MAX_FAILED_SHARE * attempts:
                    failures = f"{result.failed} of {attempts} requests failed at concurrency {concurrency}"
                    raise EndpointError(f"{failures}: {error}") from None

    async def stop_when_long_enough() -> None:
        await saturated.wait()
        begin_s = time.monotonic()
        while (wait_s := await remaining_wait_s(begin_s)) > 0:
            await asyncio.sleep(wait_s)
        stop.set()

    tasks = [
        asyncio.create_task(coroutine) for coroutine in (stop_when_long_enough(), *(keep_busy() for _ in range(concurrency)))
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return result
