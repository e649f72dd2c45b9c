"""Registry of an edition's figures: creates them and numbers them, with the same id in every version of an edition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from footprint.calendar.periods import Period
from footprint.core.estimate import Estimate
from footprint.editions.document import Figure, Flag, Letter, Text
from footprint.editions.edition_data import EditionData, IndicatorRow, Where
from footprint.editions.indicators import Measure

MIN_UNFLAGGED_COVERAGE = 0.80  # a figure with less is flagged
MIN_PUBLISHED_COVERAGE = 0.50  # a figure with less is not published
ESTIMATED_QUALITIES: tuple[Letter, ...] = ("C", "D")


class FigureRegistry:
    """The figures of an edition being built; a key says what a figure is, and keeps its number from version to version."""

    def __init__(self, data: EditionData) -> None:
        self.data = data
        self._numbers = dict(data.context.numbers)
        self._next = max(self._numbers.values(), default=0) + 1
        self._figures: dict[str, Figure] = {}
        tag = str(data.period).replace("-", "")
        self._stem = f"{'DEMO-' if data.config.demo else ''}F-{tag}-"

    def register(self, key: str, figure: Figure) -> str:
        """Register a figure under its key and return its id; a key registered before keeps its figure."""
        if key in self._figures:
            return self._figures[key].id
        if key not in self._numbers:
            self._numbers[key] = self._next
            self._next += 1
        self._figures[key] = replace(figure, id=f"{self._stem}{self._numbers[key]:02d}")
        return self._figures[key].id

    def figures(self) -> tuple[Figure, ...]:
        """All figures, in the order of their numbers."""
        return tuple(sorted(self._figures.values(), key=lambda figure: (len(figure.id), figure.id)))

    def numbers(self) -> dict[str, int]:
        """The number of each key, including keys of earlier versions."""
        return dict(self._numbers)

    def by_key(self) -> dict[str, Figure]:
        """Figures by key."""
        return dict(self._figures)

    def __getitem__(self, identity: str) -> Figure:
        return next(figure for figure in self._figures.values() if figure.id == identity)

    def add_level(
        self,
        measure: Measure,
        indicators: IndicatorRow | None,
        period: Period,
        *,
        where: Where = (),
        display: tuple[float, str] | None = None,
    ) -> str:
        """Add the level of a measure in a period, of the whole or of a cell, and return its id; unknown without a value."""
        bounds = measure.level(indicators) if indicators is not None else None
        blank = Figure(
            id="",
            indicator=measure.indicator,
            label=measure.label,
            kind=measure.kind,
            unit=measure.unit,
            period=str(period),
            value=None,
            display=display or measure.display(bounds[0] if bounds else None),
            where=where,
            question=self.query_parameters(period, where),
            formula=measure.formula,
        )
        return self.register(self.figure_key(measure.indicator, period, where), self._with_status(blank, indicators, bounds))

    def add_change(
        self,
        measure: Measure,
        after: IndicatorRow | None,
        before: IndicatorRow | None,
        periods: tuple[Period, Period],
        *,
        where: Where = (),
    ) -> str:
        """Add the relative change of a measure from the second period to the first, with its own interval, and return its id."""
        period, base = periods
        estimate = measure.ratio(before, after) if after is not None and before is not None else None
        bounds = None if estimate is None else (estimate.value - 1, estimate.low - 1, estimate.high - 1)
        blank = Figure(
            id="",
            indicator=measure.indicator,
            label=measure.label,
            kind="change",
            unit="1",
            period=str(period),
            value=None,
            where=where,
            question=self.query_parameters(period, where) | {"against": str(base)},
            formula=f"{measure.indicator}({period}) / {measure.indicator}({base}) - 1",
        )
        figure = self._with_status(blank, after, bounds)
        if is_coverage_too_low(before) or self.data.is_confidential(where, str(base)):
            confidential = self.data.is_confidential(where, str(base))
            figure = without_value(figure, "c" if confidential else "x")
        return self.register(f"{self.figure_key(measure.indicator, period, where)}|change|{self.period_offset(base)}", figure)

    def add_share(
        self,
        indicator: str,
        label: Text,
        value: Estimate | None,
        formula: str,
        *,
        where: Where = (),
        query_parameters: Mapping[str, str | list[str]] | None = None,
        quality: Letter = "",
    ) -> str:
        """Add a share of the period (a fraction) and return its id."""
        period = self.data.period
        bounds = None if value is None else (value.value, value.low, value.high)
        blank = Figure(
            id="",
            indicator=indicator,
            label=label,
            kind="share",
            unit="1",
            period=str(period),
            value=None,
            where=where,
            question=self.query_parameters(period, where) if query_parameters is None else query_parameters,
            formula=formula,
        )
        figure = self._with_status(blank, self.data.current, bounds)
        return self.register(self.figure_key(indicator, period, where), replace(figure, quality=quality or figure.quality))

    def add_figure(self, key: str, figure: Figure) -> str:
        """Add a figure made by its section and return its id; versions and coverage of the period are filled in."""
        row = self.data.current.row
        return self.register(
            key,
            replace(
                figure,
                method_version=figure.method_version or row["method_version"],
                factor_version=figure.factor_version or row["factor_version"],
                coverage=figure.coverage or row["coverage"],
                question=figure.question or self.query_parameters(self.data.period, figure.where),
            ),
        )

    def period_offset(self, period: Period) -> str:
        """Distance of a period from the edition's own: keys hold it, so that they recur in the next edition."""
        months = (period.year - self.data.period.year) * 12 + period.month - self.data.period.month
        return f"{months:+d}m{period.length}"

    def figure_key(self, indicator: str, period: Period, where: Where) -> str:
        """The key of a figure: indicator, cell and period offset."""
        return f"{indicator}|{','.join(f'{name}={value}' for name, value in where)}|{self.period_offset(period)}"

    def query_parameters(self, period: Period, where: Where) -> dict[str, str | list[str]]:
        """Parameters of ``footprint query`` that give the row of a cell."""
        first, last = period, period.shifted(1)
        parameters: dict[str, str | list[str]] = {
            "from": f"{first.year:04}-{first.month:02}-01",
            "to": f"{last.year:04}-{last.month:02}-01",
        }
        if where:
            parameters |= {"group": ",".join(name for name, _ in where), "where": [f"{name}={value}" for name, value in where]}
        return parameters

    def _with_status(
        self, blank: Figure, indicators: IndicatorRow | None, bounds: tuple[float, float | None, float | None] | None
    ) -> Figure:
        """The figure with its value, unless it is confidential, unknown or hardly covered; with quality, status and flags."""
        if indicators is None:
            return without_value(blank, "c" if self.data.is_confidential(blank.where, blank.period) else "x")
        row = indicators.row
        known = replace(
            blank,
            quality=row["quality"] or "",
            coverage=row["coverage"],
            method_version=row["method_version"] or "",
            factor_version=row["factor_version"] or "",
        )
        if self.data.is_confidential(blank.where, blank.period):
            return without_value(known, "c")
        if bounds is None or is_coverage_too_low(indicators):
            return without_value(known, "x")
        flags: list[Flag] = []
        provisional = row["status"] == "provisional"
        if known.quality in ESTIMATED_QUALITIES:
            flags.append("e")
        if provisional:
            flags.append("p")
        if row["coverage"] is not None and row["coverage"] < MIN_UNFLAGGED_COVERAGE:
            flags.append("u")
        value, low, high = bounds
        bounded = low is not None and high is not None and (low, high) != (value, value)
        return replace(
            known,
            value=value,
            low=low if bounded else None,
            high=high if bounded else None,
            flags=tuple(flags),
            obs_status="P" if provisional else "E" if known.quality in ESTIMATED_QUALITIES else "U" if "u" in flags else "A",
        )


def is_coverage_too_low(indicators: IndicatorRow | None) -> bool:
    """Whether the coverage of a row is too low for publication."""
    coverage = None if indicators is None else indicators.row["coverage"]
    return coverage is not None and coverage < MIN_PUBLISHED_COVERAGE


def without_value(figure: Figure, flag: Flag) -> Figure:
    """A figure without value and bounds: confidential (c) or unknown (x)."""
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
