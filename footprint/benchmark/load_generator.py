"""This file keeps so many requests in flight until a point is long enough, then lets those under way come to their end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from footprint.benchmark.openai_client import EndpointError, RequestFailed
from footprint.benchmark.steady_state import AnsweredRequest

# ask(prompt, on_first) -> the answer; what it raises beside RequestFailed ends the point.
SendRequest = Callable[[int, Callable[[], None]], Awaitable[AnsweredRequest]]
# long_enough(begin [s]) -> seconds to wait before asking again, 0 when it is.
RemainingWait = Callable[[float], Awaitable[float]]
MIN_REQUESTS = 20  # requests, before their failures say anything
MAX_FAILED_SHARE = 1 / 20


@dataclass(slots=True)
class LoadResult:
    """What came of a point."""

    answered: list[AnsweredRequest] = field(default_factory=list)
    failed: int = 0
    why: str = ""


async def generate_load(
    send_request: SendRequest, prompts: Iterator[int], concurrency: int, remaining_wait_s: RemainingWait
) -> LoadResult:
    """Answers of a point, each request replaced when it ends; steady once as many as ``concurrency`` have their first token.

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
                result.failed, result.why = result.failed + 1, str(error)
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
