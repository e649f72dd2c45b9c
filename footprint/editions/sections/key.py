"""This file writes the key figures: eight rows, three periods, and the change with an interval of its own."""

from __future__ import annotations

from footprint.editions.document import Cell, Column, Mark, Ref, Row, Section, Table, Text
from footprint.editions.facts import Facts
from footprint.editions.figures import FigureBook
from footprint.editions.measures import IT_ENERGY, KEY, Measure
from footprint.editions.words import NOTHING, joined, named, short, t, towards


def section(facts: Facts, book: FigureBook) -> Section:
    """This period, the one before, the same a year before."""
    heads = (NOTHING, short(facts.period), t("intervalle", "interval"), short(facts.previous), short(facts.year_ago))
    against = NOTHING if facts.base is None else joined(t("Variations par rapport", "Changes against"), _full_stop(towards(facts.base)))
    kinds = ("text", "value", "interval", "value", "value")
    columns = (
        *(Column(head, kind) for head, kind in zip(heads, kinds, strict=True)),  # type: ignore[arg-type]
        Column(_since(facts), "change"), Column(t("qualité", "quality"), "badge"),
    )  # fmt: skip
    rows = tuple(_row(facts, book, measure) for measure in KEY)
    return Section(
        "key_figures", NOTHING, joined(t("Intervalles à 95 %.", "Intervals of 95%."), t(
            "Les variations ont leur propre intervalle : ce qui fausse de même deux périodes s’annule.",
            "Changes have their own interval: what errs alike in two periods cancels."), against),
        t("Chiffres clés", "Key figures"),
        t("Période, période précédente, même période de l’année précédente", "Period, period before, same period a year before"),
        (Table("key_figures", columns, rows, t("Chiffres clés de la période", "Key figures of the period")),), source(facts),
    )  # fmt: skip


def source(facts: Facts) -> Text:
    """Where the figures of a section come from."""
    version = facts.now.row["method_version"]
    return t(f"Source : Footprint, méthode {version}", f"Source: Footprint, method {version}")


def _full_stop(text: Text) -> Text:
    return Text(f"{text.fr}.", f"{text.en}.")


def _since(facts: Facts) -> Text:
    if facts.base is None:
        return t("variation", "change")
    if facts.base == facts.year_ago:
        return t("sur un an", "over a year")
    return {3: t("sur un trimestre", "over a quarter"), 1: t("sur un mois", "over a month")}.get(
        facts.period.length, t("sur un an", "over a year")
    )


def _row(facts: Facts, book: FigureBook, measure: Measure) -> Row:
    now = book.level(measure, facts.now, facts.period)
    shown = book[now].display
    cells: list[Cell] = [with_unit(measure.label, shown[1]), _cell(book, now, "value"), _cell(book, now, "interval")]
    for period in (facts.previous, facts.year_ago):
        asked = facts.quarters.get(str(period))
        cells.append(_cell(book, book.level(measure, asked, period, display=shown), "value"))
    if facts.base is None:
        cells.append(Mark("x"))
    else:
        change = book.change(measure, facts.now, facts.quarters[str(facts.base)], (facts.period, facts.base))
        cells.append(_cell(book, change, "full"))
    cells.append(Ref(now))
    return Row(tuple(cells), "part" if measure is IT_ENERGY else "")


def _cell(book: FigureBook, identity: str, form: str) -> Cell:
    figure = book[identity]
    if figure.value is None:
        return Mark(figure.flags[0])
    return Ref(identity, form)  # type: ignore[arg-type]


def with_unit(label: Text, unit: str) -> Text:
    """A label with the unit behind it, unless it says it already."""
    if not unit or unit in label.fr.split():
        return label
    plural = f"{unit}s" if unit == "million" else unit
    return Text(f"{label.fr}, {plural}", f"{label.en}, {plural}")


__all__ = ["named", "section", "source", "with_unit"]
