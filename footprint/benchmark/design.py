"""Experimental design: the points of a benchmark, their order, and the remaining time. Pure.

The order is drawn separately for every repeat, with the seed that the result records: drift over hours (temperature, other
users of the room) affects every concurrency alike. Two models with the same seed get the same prompts in the same order.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

CONCURRENCY = (1, 2, 4, 8, 16, 32, 64)
REPEATS, MIN_S, MIN_UPDATES = 5, 60, 600


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A point to measure; concurrency 0 is the loaded model at rest."""

    repeat: int
    concurrency: int

    @property
    def name(self) -> str:
        """Stem of the file that holds the point."""
        return f"r{self.repeat}-c{self.concurrency}"


def measurement_slots(concurrency: Sequence[int], repeats: int, seed: int) -> list[Slot]:
    """Every point in the order of measurement; each repeat holds each concurrency and the rest once."""
    rng = random.Random(f"order {seed}")
    slots = []
    for repeat in range(repeats):
        levels = [0, *sorted(set(concurrency))]
        rng.shuffle(levels)
        slots += [Slot(repeat, level) for level in levels]
    return slots


def remaining_slots(all_slots: Sequence[Slot], done: Collection[str]) -> list[Slot]:
    """Points that are not measured yet."""
    return [slot for slot in all_slots if slot.name not in done]


def prompt_order(count: int, slot: Slot, seed: int) -> Iterator[int]:
    """Endless indices of prompts: every prompt once in random order, then all of them again."""
    rng = random.Random(f"prompts {seed} {slot.repeat} {slot.concurrency}")
    while True:
        order = list(range(count))
        rng.shuffle(order)
        yield from order


def remaining_s(slots_left: int, durations_s: Sequence[float], expected_s: float) -> float:
    """Remaining time [s]: mean duration of the measured points times the points left; ``expected_s`` before the first point."""
    mean_s = sum(durations_s) / len(durations_s) if durations_s else expected_s
    return mean_s * slots_left
