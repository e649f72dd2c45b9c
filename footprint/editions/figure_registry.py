"""This file numbers figures and makes them: one id a figure, the same in every version of an edition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from footprint.calendar.periods import Period
from footprint.core.estimate import Estimate
from footprint.editions.document import Figure, Flag, Letter, Text
from footprint.editions.edition_data import EditionData, IndicatorRow, Where
from footprint.editions.indicators import Measure

MIN_UNFLAGGED_COVERAGE, MIN_PUBLISHED_COVERAGE = 0.80, 0.50  # of coverage: below, a figure is flagged; below, it is not published
ESTIMATED_QUALITIES: tuple[Letter, ...] = ("C", "D")
ESTIMATED_SHARE = 0.5
DECIMALS = 3


class FigureRegistry:
    """The figures of one edition in the making; a key says what a figure is, and keeps its number from version to version."""

    def __init__(self, facts: EditionData) -> None:
        self.facts = facts
        self._numbers = dict(facts.context.numbers)
        self._next = max(self._numbers.values(), default=0) + 1
        self._found: dict[str, Figure] = {}
        tag = str(facts.period).replace("-", "")
        self._stem = f"{'DEMO-' if facts.config.demo else ''}F-{tag}-"

    def add(self, key: str, figure: Figure) -> str:
        """Keep a figure under its key, and give its id; the same key again gives the figure that stands there."""
        if key in self._found:
            return self._found[key].id
        if key not in self._numbers:
            self._numbers[key] = self._next
            self._next += 1
        self._found[key] = replace(figure, id=f"{self._stem}{self._numbers[key]:02d}")
        return self._found[key].id

    def figures(self) -> tuple[Figure, ...]:
        """All of them, in the order of their numbers."""
        return tuple(sorted(self._found.values(), key=lambda figure: (len(figure.id), figure.id)))

    def numbers(self) -> dict[str, int]:
        """Number of each key, of earlier versions too."""
        return dict(self._numbers)

    def keys(self) -> dict[str, Figure]:
        """Figures by key."""
        return dict(self._found)

    def __getitem__(self, identity: str) -> Figure:
        return next(figure for figure in self._found.values() if figure.id == identity)

    def level(
        self,
        measure: Measure,
        asked: IndicatorRow | None,
        period: Period,
        *,
        where: Where = (),
        display: tuple[float, str] | None = None,
    ) -> str:
        """The level of a measure in a period, of the whole or of a cell; unknown where nothing was asked or told."""
        told = measure.of(asked) if asked is not None else None
        blank = Figure(
            id="",
            indicator=measure.indicator,
            label=measure.label,
            kind=measure.kind,
            unit=measure.unit,
            period=str(period),
            value=None,
            display=display or measure.display(told[0] if told else None),
            where=where,
            question=self.question(period, where),
            formula=measure.formula,
        )
        return self.add(self.key(measure.indicator, period, where), self._judged(blank, asked, told))

    def change(
        self,
        measure: Measure,
        after: IndicatorRow | None,
        before: IndicatorRow | None,
        periods: tuple[Period, Period],
        *,
        where: Where = (),
    ) -> str:
        """The relative change of a measure from the second period to the first, with its own interval."""
        now, base = periods
        estimate = measure.ratio(before, after) if after is not None and before is not None else None
        told = None if estimate is None else (estimate.value - 1, estimate.low - 1, estimate.high - 1)
        blank = Figure(
            id="",
            indicator=measure.indicator,
            label=measure.label,
            kind="change",
            unit="1",
            period=str(now),
            value=None,
            where=where,
            question=self.question(now, where) | {"against": str(base)},
            formula=f"{measure.indicator}({now}) / {measure.indicator}({base}) - 1",
        )
        mine = self._judged(blank, after, told)
        if is_coverage_too_low(before) or self.facts.hidden(where, str(base)):
            confidential = self.facts.hidden(where, str(base))
            mine = without_value(mine, "c" if confidential else "x")
        return self.add(f"{self.key(measure.indicator, now, where)}|change|{self.offset(base)}", mine)

    def share(
        self,
        indicator: str,
        label: Text,
        value: Estimate | None,
        formula: str,
        *,
        where: Where = (),
        question: Mapping[str, str | list[str]] | None = None,
        quality: Letter = "",
    ) -> str:
        """A share of the period (a fraction)."""
        period = self.facts.period
        told = None if value is None else (value.value, value.low, value.high)
        blank = Figure(
            id="",
            indicator=indicator,
            label=label,
            kind="share",
            unit="1",
            period=str(period),
            value=None,
            where=where,
            question=self.question(period, where) if question is None else question,
            formula=formula,
        )
        mine = self._judged(blank, self.facts.now, told)
        return self.add(self.key(indicator, period, where), replace(mine, quality=quality or mine.quality))

    def plain(self, key: str, figure: Figure) -> str:
        """A figure made by its section; versions and coverage of the period are filled in."""
        row = self.facts.now.row
        return self.add(
            key,
            replace(
                figure,
                method_version=figure.method_version or row["method_version"],
                factor_version=figure.factor_version or row["factor_version"],
                coverage=figure.coverage or row["coverage"],
                question=figure.question or self.question(self.facts.period, figure.where),
            ),
        )

    def offset(self, period: Period) -> str:
        """How far a period lies from the edition's: what a key says, so that next quarter's edition has the same keys."""
        months = (period.year - self.facts.period.year) * 12 + period.month - self.facts.period.month
        return f"{months:+d}m{period.length}"

    def key(self, indicator: str, period: Period, where: Where) -> str:
        """What a figure is, in one line."""
        return f"{indicator}|{','.join(f'{name}={value}' for name, value in where)}|{self.offset(period)}"

    def question(self, period: Period, where: Where) -> dict[str, str | list[str]]:
        """Parameters of ``footprint query`` that give the row of a cell."""
        first, last = period, period.shifted(1)
        asked: dict[str, str | list[str]] = {
            "from": f"{first.year:04}-{first.month:02}-01",
            "to": f"{last.year:04}-{last.month:02}-01",
        }
        if where:
            asked |= {"group": ",".join(name for name, _ in where), "where": [f"{name}={value}" for name, value in where]}
        return asked

    def _judged(self, blank: Figure, asked: IndicatorRow | None, told: tuple[float, float | None, float | None] | None) -> Figure:
        """With the value, unless it is confidential, unknown or hardly covered; and with what a reader must know of it."""
        if asked is None:
            return without_value(blank, "c" if self.facts.hidden(blank.where, blank.period) else "x")
        row = asked.row
        known = replace(
            blank,
            quality=row["quality"] or "",
            coverage=row["coverage"],
            method_version=row["method_version"] or "",
            factor_version=row["factor_version"] or "",
        )
        if self.facts.hidden(blank.where, blank.period):
            return without_value(known, "c")
        if told is None or is_coverage_too_low(asked):
            return without_value(known, "x")
        flags: list[Flag] = []
        provisional = row["status"] == "provisional"
        if known.quality in ESTIMATED_QUALITIES:
            flags.append("e")
        if provisional:
            flags.append("p")
        if row["coverage"] is not None and row["coverage"] < MIN_UNFLAGGED_COVERAGE:
            flags.append("u")
        value, low, high = told
        bounded = low is not None and high is not None and (low, high) != (value, value)
        return replace(
            known,
            value=value,
            low=low if bounded else None,
            high=high if bounded else None,
            flags=tuple(flags),
            obs_status="P" if provisional else "E" if known.quality in ESTIMATED_QUALITIES else "U" if "u" in flags else "A",
        )


def is_coverage_too_low(asked: IndicatorRow | None) -> bool:
    """Whether so little of a row was covered that it is not published."""
    coverage = None if asked is None else asked.row["coverage"]
    return coverage is not None and coverage < MIN_PUBLISHED_COVERAGE


def without_value(figure: Figure, flag: Flag) -> Figure:
    """A figure that is confidential (c), or unknown (x): no value, no bounds, nothing that tells them."""
    secret = flag == "c"
    return replace(
        figure,
        value=None,
        low=None,
        high=None,
        flags=(flag,),
        obs_status="A" if secret else "M",
        conf_status="C" if secret else "F",
        quality="" if secret else figure.quality,
        coverage=None if secret else figure.coverage,
    )
