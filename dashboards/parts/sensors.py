"""Card of sensors and their witnesses: what is in doubt, since when, and how much energy of the period rests on what."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import Row, card, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext, table_links
from footprint.i18n.formatting import energy_unit, format_local_time, format_number, format_percent
from footprint.queries.sensor_quality import device_evidence, sensor_rows

MAX_ROWS = 60


def sensors_card(context: PageContext) -> Any:
    """Card of all sensors that agents judged, those with something wrong first; None if no agent judged any."""
    language = context.view.language
    assert context.store is not None
    bounds = context.view.bounds(context.config, context.now_us)
    rows = sensor_rows(context.store, context.config, *bounds, context.now_us, language)
    if not rows:
        return None
    troubled = [row for row in rows if row["is_troubled"]]
    ranked = sorted(rows, key=lambda row: (not row["is_troubled"], -(row["disputed_kwh"] or 0.0)))
    size, unit = energy_unit(max((row["disputed_kwh"] or 0.0 for row in rows), default=0.0))
    head = [
        *(translate(language, name) for name in ("host", "device", "sensor_source", "status", "sensor_witness", "reason")),
        translate(language, "sensor_since"),
        translate(language, "sensor_ratio"),
        f"{translate(language, 'sensor_disputed')}, {unit}",
        translate(language, "sensor_unread_h"),
    ]
    body = [_cells(context, row, size) for row in ranked[:MAX_ROWS]]
    title = translate(language, "sensors_title", number=str(len(troubled))) if troubled else translate(language, "sensors_none")
    return card(
        title,
        translate(language, "sensors_sub", zone=str(context.config.timezone)),
        scrollable(table(head, body, title), title, "tall prose"),
        language,
        sentences=[_evidence_sentence(context, bounds)],
        data=table_links("sensors"),
        wide=True,
    )


def _cells(context: PageContext, row: Row, size: float) -> tuple[Any, ...]:
    language = context.view.language
    state = " · ".join(text for text in (row["state"], row["verdict"]) if text)
    unread_s = (row["standing_s"] or 0.0) + (row["implausible_s"] or 0.0)
    return (
        html.A(row["host"], href=context.view.link("/sensors", host=row["host"])),
        row["device"],
        row["source"],
        state,
        row["witness"] or "",
        row["reason"] or "",
        format_local_time(row["since"], context.config.timezone, language) if row["is_troubled"] else "",
        "" if row["ratio"] is None else format_percent(row["ratio"], language, floor=False),
        format_number(row["disputed_kwh"] / size, language) if row["disputed_kwh"] else "",
        format_number(unread_s / 3600, language) if unread_s else "",
    )


def _evidence_sentence(context: PageContext, bounds: tuple[int | None, int | None]) -> str:
    """How much energy of the period rests on sensors that a witness confirms, contradicts, or that have none."""
    language = context.view.language
    assert context.store is not None
    evidence = device_evidence(context.store, context.config, *bounds).values()
    energy, confirmed, disputed = (
        sum(getattr(of_device, name) for of_device in evidence) for name in ("energy_uj", "confirmed_uj", "disputed_uj")
    )
    if energy <= 0:
        return translate(language, "sensors_no_energy")
    shares = {
        "confirmed": confirmed / energy,
        "disputed": disputed / energy,
        "other": max(energy - confirmed - disputed, 0) / energy,
    }
    texts = {name: format_percent(share, language, floor=False) for name, share in shares.items()}
    return translate(language, "sensors_evidence", **texts)
