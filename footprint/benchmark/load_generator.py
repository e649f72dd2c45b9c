"""This file keeps so many requests in flight until a point is long enough, then lets those under way come to their end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from footprint.benchmark.openai_client import EndpointError, RequestFailed
from footprint.benchmark.steady_state import Answered

# ask(prompt, on_first) -> the answer; what it raises beside RequestFailed ends the point.
Ask = Callable[[int, Callable[[], None]], Awaitable[Answered]]
# long_enough(begin [s]) -> seconds to wait before asking again, 0 when it is.
LongEnough = Callable[[float], Awaitable[float]]
MIN_TRIED = 20  # requests, before their failures say anything
MAX_FAILED = 1 / 20


@dataclass(slots=True)
class Served:
    """What came of a point."""

    answered: list[Answered] = field(default_factory=list)
    failed: int = 0
    why: str = ""


async def serve(ask: Ask, prompts: Iterator[int], concurrency: int, long_enough: LongEnough) -> Served:
    """Answers of a point, each request replaced when it ends; steady once as many as ``concurrency`` have their first token.

    Raises
    ------
    EndpointError
        If more than one request in twenty fails.
    """
    found = Served()
    firsts, full, stop = 0, asyncio.Event(), asyncio.Event()

    def on_first() -> None:
        nonlocal firsts
        firsts += 1
        if firsts >= concurrency:
            full.set()

    async def keep_busy() -> None:
        while not stop.is_set():
            try:
                found.answered.append(await ask(next(prompts), on_first))
            except RequestFailed as bad:
                found.failed, found.why = found.failed + 1, str(bad)
                tried = found.failed + len(found.answered)
                if tried >= MIN_TRIED and found.failed > MAX_FAILED * tried:
                    said = f"{found.failed} of {tried} requests failed at concurrency {concurrency}"
                    raise EndpointError(f"{said}: {bad}") from None

    async def watch() -> None:
        await full.wait()
        begin = time.monotonic()
        while (wait_s := await long_enough(begin)) > 0:
            await asyncio.sleep(wait_s)
        stop.set()

    tasks = [asyncio.create_task(each) for each in (watch(), *(keep_busy() for _ in range(concurrency)))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found
