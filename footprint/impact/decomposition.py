"""This file divides a change of emissions over its causes: additive LMDI-I, which leaves no rest.

C = sum over s of N x (n_s/N) x (T_s/n_s) x (E_s/T_s) x P_s x I_s, and the effect of factor k is
sum over s of L(C_s after, C_s before) x ln(x_k after / x_k before), L(a, b) = (a - b) / (ln a - ln b), L(a, a) = a
(Ang, Energy Policy 33 (2005) 867-871). What began or stopped is a bar of its own: zeros are never replaced by something small
(Wood and Lenzen, Energy Policy 34 (2006) 1326-1331). Idle energy is decomposed apart, C = h x W x P x I; where emissions are
counted by the hour, I_s = mean x (I_s / mean), so that a cleaner grid and cleaner hours are two effects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

EFFECTS = ("volume", "mix", "length", "efficiency", "overhead", "grid", "timing", "new", "stopped")
IDLE_EFFECTS = ("idle_hours", "idle_power", "overhead", "grid", "timing", "new", "stopped")


@dataclass(frozen=True, slots=True)
class Term:
    """One use in one period: requests, tokens, IT energy [kWh], facility energy over it, intensity [g/kWh]; all above zero.

    ``timing`` is the intensity of the use's own hours over the mean, where emissions are counted by the hour.
    """

    requests: float
    tokens: float
    it_kwh: float
    pue: float
    g_per_kwh: float
    timing: float = 1.0

    @property
    def grams(self) -> float:
        """Emissions [g]: IT energy x PUE x intensity."""
        return self.it_kwh * self.pue * self.g_per_kwh * self.timing


@dataclass(frozen=True, slots=True)
class IdleTerm:
    """One service while it waits: powered device-hours, mean idle power over them [W], PUE, intensity; all above zero."""

    hours: float
    watts: float
    pue: float
    g_per_kwh: float
    timing: float = 1.0

    @property
    def grams(self) -> float:
        """Emissions [g]: hours x power x PUE x intensity."""
        return self.hours * self.watts / 1000 * self.pue * self.g_per_kwh * self.timing


def log_mean(a: float, b: float) -> float:
    """The logarithmic mean of two numbers above zero."""
    logs = math.log(a) - math.log(b)  # 0 also where the two differ by a rounding only
    return (a - b) / logs if logs else a


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
            "volume": totals[1] / totals[0],
            "mix": shares[1] / shares[0],
            "length": (now.tokens / now.requests) / (was.tokens / was.requests),
            "efficiency": (now.it_kwh / now.tokens) / (was.it_kwh / was.tokens),
            "overhead": now.pue / was.pue,
            "grid": now.g_per_kwh / was.g_per_kwh,
            "timing": now.timing / was.timing,
        }
        for effect, ratio in ratios.items():
            effects[effect] += weight * math.log(ratio)
    return effects


def decompose_idle(before: Mapping[str, IdleTerm], after: Mapping[str, IdleTerm]) -> dict[str, float]:
    """Effects [g] by name on what services draw while they wait; their sum is the change."""
    effects = dict.fromkeys(IDLE_EFFECTS, 0.0)
    effects["new"] = math.fsum(term.grams for name, term in after.items() if name not in before)
    effects["stopped"] = -math.fsum(term.grams for name, term in before.items() if name not in after)
    for name in sorted(set(before) & set(after)):
        was, now = before[name], after[name]
        weight = log_mean(now.grams, was.grams)
        ratios = {
            "idle_hours": now.hours / was.hours,
            "idle_power": now.watts / was.watts,
            "overhead": now.pue / was.pue,
            "grid": now.g_per_kwh / was.g_per_kwh,
            "timing": now.timing / was.timing,
        }
        for effect, ratio in ratios.items():
            effects[effect] += weight * math.log(ratio)
    return effects
