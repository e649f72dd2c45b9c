"""Decomposition of a change of emissions into effects: additive LMDI-I, which leaves no residual.

C = sum over s of N x (n_s/N) x (T_s/n_s) x (E_s/T_s) x P_s x I_s, and the effect of factor k is
sum over s of L(C_s after, C_s before) x ln(x_k after / x_k before), L(a, b) = (a - b) / (ln a - ln b), L(a, a) = a.
New and stopped uses are effects of their own, because a zero has no logarithm and a small number in its place distorts the
other effects. Idle energy is decomposed separately, C = h x W x P x I. Where emissions are counted by the hour,
I_s = mean x (I_s / mean), so that a cleaner grid and cleaner hours are two effects.

References
----------
B. W. Ang, The LMDI approach to decomposition analysis: a practical guide, Energy Policy 33 (2005) 867-871.
R. Wood and M. Lenzen, Zero-value problems of the logarithmic mean divisia index decomposition method, Energy Policy 34 (2006)
1326-1331.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

EFFECTS = ("volume", "mix", "length", "efficiency", "overhead", "grid", "timing", "new", "stopped")
IDLE_EFFECTS = ("idle_hours", "idle_power", "overhead", "grid", "timing", "new", "stopped")


@dataclass(frozen=True, slots=True)
class Term:
    """One use in one period; every number is above zero.

    ``requests`` and ``tokens`` are counts, ``it_kwh`` is IT energy [kWh], ``pue`` is facility energy over IT energy and
    ``g_per_kwh`` the intensity [gCO2e/kWh]. ``timing`` is the intensity of the use's own hours over the mean, where emissions are
    counted by the hour.
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
    """One idle service in one period; every number is above zero.

    ``hours`` are powered device-hours [h], ``watts`` is the mean idle power over them [W]; ``pue``, ``g_per_kwh`` and ``timing``
    are those of ``Term``.
    """

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
    """Logarithmic mean (a - b) / (ln a - ln b) of two positive numbers, and a where both are equal.

    Examples
    --------
    >>> round(log_mean(2.0, 1.0), 4)
    1.4427
    >>> log_mean(3.0, 3.0)
    3.0
    """
    logs = math.log(a) - math.log(b)  # 0 also where the two differ by a rounding only
    return (a - b) / logs if logs else a


def decompose(before: Mapping[str, Term], after: Mapping[str, Term]) -> dict[str, float]:
    """Effects of a change of emissions between two periods.

    Parameters
    ----------
    before, after
        Uses of each period by name. Requests and their shares are those of the uses that both periods have.

    Returns
    -------
    dict
        Effect [gCO2e] of each name in ``EFFECTS``; their sum is the change of the emissions of all uses.

    References
    ----------
    B. W. Ang, Energy Policy 33 (2005) 867-871.

    Examples
    --------
    >>> before = {"chat": Term(requests=100, tokens=1e5, it_kwh=1.0, pue=1.2, g_per_kwh=50.0)}
    >>> after = {"chat": Term(requests=200, tokens=2e5, it_kwh=2.0, pue=1.2, g_per_kwh=50.0)}
    >>> {name: round(grams, 3) for name, grams in decompose(before, after).items() if grams}
    {'volume': 60.0}
    """
    effects = dict.fromkeys(EFFECTS, 0.0)
    effects["new"] = math.fsum(term.grams for name, term in after.items() if name not in before)
    effects["stopped"] = -math.fsum(term.grams for name, term in before.items() if name not in after)
    common = sorted(set(before) & set(after))
    totals = [math.fsum(side[name].requests for name in common) for side in (before, after)]
    for name in common:
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
    """Effects of a change of the emissions of idle services between two periods.

    Parameters
    ----------
    before, after
        Idle services of each period by name.

    Returns
    -------
    dict
        Effect [gCO2e] of each name in ``IDLE_EFFECTS``; their sum is the change.
    """
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
