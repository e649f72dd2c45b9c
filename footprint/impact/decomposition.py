"""This file divides a change of emissions over its causes: additive LMDI-I, which leaves no rest.

C = sum over s of N x (n_s/N) x (T_s/n_s) x (E_s/T_s) x P_s x I_s, and the effect of factor k is
sum over s of L(C_s after, C_s before) x ln(x_k after / x_k before), L(a, b) = (a - b) / (ln a - ln b), L(a, a) = a
(Ang, Energy Policy 33 (2005) 867-871). What began or stopped is a bar of its own: zeros are never replaced by something small
(Wood and Lenzen, Energy Policy 34 (2006) 1326-1331).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

EFFECTS = ("volume", "mix", "length", "efficiency", "overhead", "grid", "new", "stopped")


@dataclass(frozen=True, slots=True)
class Term:
    """One use in one period: requests, tokens, IT energy [kWh], facility energy over it, intensity [g/kWh]; all above zero."""

    requests: float
    tokens: float
    it_kwh: float
    pue: float
    g_per_kwh: float

    @property
    def grams(self) -> float:
        """Emissions [g]: IT energy x PUE x intensity."""
        return self.it_kwh * self.pue * self.g_per_kwh


def log_mean(a: float, b: float) -> float:
    """The logarithmic mean of two numbers above zero."""
    return a if a == b else (a - b) / (math.log(a) - math.log(b))


def decompose(before: Mapping[str, Term], after: Mapping[str, Term]) -> dict[str, float]:
    """Effects [g] by name; their sum is the change of the emissions of all uses.

    Numbers and shares of requests are those of the uses that go on.
    """
    effects = dict.fromkeys(EFFECTS, 0.0)
    effects["new"] = math.fsum(term.grams for name, term in after.items() if name not in before)
    effects["stopped"] = -math.fsum(term.grams for name, term in before.items() if name not in after)
    going_on = sorted(set(before) & set(after))
    totals = [math.fsum(side[name].requests for name in going_on) for side in (before, after)]
    for name in going_on:
        was, now = before[name], after[name]
        weight = log_mean(now.grams, was.grams)
        shares = was.requests / totals[0], now.requests / totals[1]
        ratios = {
            "volume": totals[1] / totals[0], "mix": shares[1] / shares[0],
            "length": (now.tokens / now.requests) / (was.tokens / was.requests),
            "efficiency": (now.it_kwh / now.tokens) / (was.it_kwh / was.tokens), "overhead": now.pue / was.pue,
            "grid": now.g_per_kwh / was.g_per_kwh,
        }  # fmt: skip
        for effect, ratio in ratios.items():
            effects[effect] += weight * math.log(ratio)
    return effects
