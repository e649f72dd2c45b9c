"""Section: energy by month over two years, with its band, gaps, and changes of method."""

from __future__ import annotations

from footprint.calendar.periods import Period
from footprint.editions.collect import TREND_MONTHS
from footprint.editions.document import Chart, MonthPoint, Section, Text, Trend
from footprint.editions.edition_data import EditionData
from footprint.editions.figure_registry import FigureRegistry, is_coverage_too_low
from footprint.editions.indicators import ENERGY
from footprint.editions.sections.building_blocks import source_line
from footprint.editions.sections.main_points import is_measurable, total_change
from footprint.editions.texts import EMPTY_TEXT, in_comparison, short_period, tr
from footprint.i18n.formatting import format_estimate


def section(data: EditionData, registry: FigureRegistry) -> Section | None:
    """A line of months; months without enough coverage leave a gap."""
    last = data.period.split(1)[-1]
    months = [last.shifted(back) for back in range(1 - TREND_MONTHS, 1)]
    first = next((index for index, month in enumerate(months) if str(month) in data.months), None)
    if first is None or len(months) - first < 2:
        return None
    display = ENERGY.display(data.current.row["energy_kwh"])
    points = [_point(data, registry, month, display) for month in months[first:]]
    drawing = Trend(display[1], tuple(points), tuple(_breaks(data, months[first:])))
    return Section(
        "trend",
        EMPTY_TEXT,
        tr(
            "Bande : intervalle à 95 %. Tirets : provisoire. Trou : non publié, faute de couverture.",
            "Band: 95% interval. Dashes: provisional. Gap: not published, for lack of coverage.",
        ),
        _title(data, registry),
        tr(f"Énergie mensuelle, {display[1]}, tous services", f"Monthly energy, {display[1]}, all services"),
        (Chart("trend", drawing, _alternative(points, display[1])),),
        source_line(data),
    )


def _title(data: EditionData, registry: FigureRegistry) -> Text:
    change = total_change(data, registry, ENERGY)
    if change is None or data.base is None or change.value is None:
        return tr("L’énergie, mois par mois", "Energy, month by month")
    against = in_comparison(data.base)
    if not is_measurable(change):
        return Text(f"Aucune variation mesurable par rapport {against.fr}", f"No measurable change against {against.en}")
    word = ("Hausse", "A rise") if change.value > 0 else ("Baisse", "A fall")
    return Text(f"{word[0]} par rapport {against.fr}", f"{word[1]} against {against.en}")


def _point(data: EditionData, registry: FigureRegistry, month: Period, display: tuple[float, str]) -> MonthPoint:
    indicators = data.months.get(str(month))
    figure = registry[registry.add_level(ENERGY, indicators, month, display=display)]
    if indicators is None or is_coverage_too_low(indicators) or figure.value is None:
        return MonthPoint(str(month), None, None, None, "suppressed" if figure.conf_status == "C" else "missing")
    size = display[0]
    low, high = (None if bound is None else bound / size for bound in (figure.low, figure.high))
    return MonthPoint(str(month), figure.value / size, low, high, "provisional" if "p" in figure.flags else "final")


def _breaks(data: EditionData, months: list[Period]) -> list[tuple[str, str, str]]:
    breaks, before = [], ""
    for month in months:
        indicators = data.months.get(str(month))
        version = indicators.row["method_version"] if indicators is not None else ""
        if version and before and version != before:
            breaks.append((str(month), before, version))
        before = version or before
    return breaks


def _alternative(points: list[MonthPoint], unit: str) -> Text:
    """Level, change and extreme, as the text alternative of the line."""
    known = [point for point in points if point.value is not None]
    if not known:
        return tr("Aucun mois publié.", "No month published.")
    last, highest = known[-1], max(known, key=lambda point: point.value or 0.0)
    texts = {}
    for language in ("fr", "en"):
        values = [
            format_estimate(month_point.value or 0.0, month_point.low, month_point.high, language).value
            for month_point in (last, highest)
        ]
        names = [
            short_period(Period(int(month_point.month[:4]), int(month_point.month[5:]), 1)).in_(language)
            for month_point in (last, highest)
        ]
        texts[language] = (*names, *values)
    missing = len(points) - len(known)
    fr, en = texts["fr"], texts["en"]
    return tr(
        f"{fr[0]} : {fr[2]} {unit}. Mois le plus élevé : {fr[1]}, {fr[3]} {unit}."
        + (f" Mois non publiés : {missing}." if missing else ""),
        f"{en[0]}: {en[2]} {unit}. Highest month: {en[1]}, {en[3]} {unit}."
        + (f" Months not published: {missing}." if missing else ""),
    )
