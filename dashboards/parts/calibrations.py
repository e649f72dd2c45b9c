"""Cards of calibration certificates: of one host, and of all hosts with those that have expired named in the title."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboards.components import Row, card, scrollable, table
from dashboards.translations import translate
from dashboards.url_state import PageContext, table_links
from footprint.config.certificates import EXPIRED, VALID
from footprint.i18n.formatting import format_estimate, format_local_time
from footprint.ledger.certificates import certified_config
from footprint.queries.certificates import certificate_rows

_HEAD = ("sens_quantity", "value", "interval", "sens_serial", "sens_expires", "status")


def host_calibration_card(context: PageContext, host: str) -> Any:
    """Certificates of a host; without any, the command that makes one."""
    language, rows = context.view.language, _rows(context, host)
    title = translate(language, "sens_calibration")
    if not rows:
        command = f"footprint calibrate {host} --meter readings.csv --serial … --expires …"
        return card(title, "", [html.P(translate(language, "sens_calibration_none")), html.Pre(html.Code(command))], language)
    states = {row["state"] for row in rows}
    finding = "sens_certificate_valid" if VALID in states else "sens_certificate_expired" if EXPIRED in states else ""
    head = [translate(language, name) for name in _HEAD]
    return card(
        translate(language, finding) if finding else title,
        translate(language, "sens_calibration_sub"),
        scrollable(table(head, [_cells(context, row) for row in rows], title, intervals=(2,)), title),
        language,
        data=table_links("calibrations"),
    )


def calibrations_card(context: PageContext) -> Any:
    """Uplifts of all hosts by certificates, expired ones without a successor counted in the title; None without any."""
    language = context.view.language
    rows = [row for row in _rows(context) if row["quantity"] == "uplift"]
    if not rows:
        return None
    expired = {row["host"] for row in rows if row["state"] == EXPIRED} - {row["host"] for row in rows if row["state"] == VALID}
    title = (
        translate(language, "sens_expired_hosts", number=str(len(expired)))
        if expired
        else translate(language, "sens_calibration")
    )
    head = [translate(language, name) for name in ("host", *_HEAD)]
    body = [(html.A(row["host"], href=context.view.link("/sensors", host=row["host"])), *_cells(context, row)) for row in rows]
    return card(
        title,
        translate(language, "sens_calibration_sub"),
        scrollable(table(head, body, title, intervals=(3,)), title),
        language,
        data=table_links("calibrations"),
        wide=True,
    )


def _rows(context: PageContext, host: str | None = None) -> list[Row]:
    assert context.store is not None
    return certificate_rows(certified_config(context.store, context.config).certificates, context.now_us, host)


def _cells(context: PageContext, row: Row) -> tuple[Any, ...]:
    language = context.view.language
    estimate = format_estimate(row["value"], row["low"], row["high"], language)
    name = (
        translate(language, "sens_uplift")
        if row["quantity"] == "uplift"
        else translate(language, "sens_gain", device=row["quantity"].removeprefix("gain "))
    )
    expiry = format_local_time(row["valid_until"], context.config.timezone, language)
    state = translate(language, f"sens_state_{row['state'].replace(' ', '_')}")
    return name, estimate.value, estimate.interval, row["serial"], expiry, state
