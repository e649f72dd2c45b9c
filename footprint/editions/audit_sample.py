"""Audit aids: what an edition excludes, and a random sample of its figures with the commands that check them."""

from __future__ import annotations

import random
from typing import Any

from footprint.calendar.periods import parse_period
from footprint.config import Config
from footprint.config.models import fact_at
from footprint.core.timestamps import format_instant
from footprint.core.units import S_PER_HOUR
from footprint.editions.document import Edition
from footprint.editions.figure_format import format_figure
from footprint.editions.provenance import trace_command
from footprint.figures.coverage import device_coverage_seconds
from footprint.figures.engine import open_result
from footprint.figures.query import Query
from footprint.storage.database import Store

EXCLUSION_COLUMNS = ("kind", "what", "period_start", "period_end", "missing_h", "expected_h", "why")
SAMPLE_COLUMNS = ("figure_id", "label", "cell", "period", "shown", "conf_status", "command")
BOUNDARY_EXCLUSIONS = (
    ("training of models", "the boundary is that of use: SCI for AI, consumer"),
    ("network", "no meter of ours stands there"),
    ("users' devices", "no meter of ours stands there"),
)


def list_exclusions(store: Store, config: Config, period: str, now_us: int) -> list[dict[str, Any]]:
    """List what a period's figures exclude: device time not read (an hour a day or more), hosted models, the boundary."""
    start_us, end_us = parse_period(period).bounds_us(config.timezone)
    rows: list[dict[str, Any]] = []
    query = Query(group=("host", "device"), every="day", from_us=start_us, to_us=end_us)
    with open_result(store, config, query, now_us) as results:
        if results is not None:
            for index, (host, device), amounts in device_coverage_seconds(results.coverage_index, results.periods):
                if amounts["missing_s"] >= S_PER_HOUR:
                    gap_start, gap_end = results.periods[index]
                    rows.append(
                        _row(
                            "gap",
                            f"{host}/{device}",
                            format_instant(gap_start),
                            format_instant(gap_end),
                            amounts["missing_s"] / S_PER_HOUR,
                            amounts["expected_s"] / S_PER_HOUR,
                            "expected and not read; the upper bound allows for it",
                        )
                    )
    hosted_names = {service.name for service in config.services if service.modelled_as}
    hosted_services = sorted(name for name in hosted_names if fact_at(config.services, name, end_us - 1))
    rows += [_row("hosted model", name, reason="no meter; footprint hosted models it, apart") for name in hosted_services]
    return rows + [_row("boundary", what, reason=why) for what, why in BOUNDARY_EXCLUSIONS]


def _row(
    kind: str,
    subject: str,
    start: str | None = None,
    end: str | None = None,
    missing_h: float | None = None,
    expected_h: float | None = None,
    reason: str = "",
) -> dict[str, Any]:
    return dict(zip(EXCLUSION_COLUMNS, (kind, subject, start, end, missing_h, expected_h, reason), strict=True))


def sample_figures(edition: Edition, size: int, seed: int, language: str = "en") -> list[dict[str, Any]]:
    """Draw figures at random, the same for a given seed, each with the command that traces and checks it."""
    figures = sorted(edition.figures, key=lambda figure: figure.id)
    chosen = random.Random(seed).sample(figures, min(size, len(figures)))
    return [
        {
            "figure_id": figure.id,
            "label": figure.label.in_(language),
            "cell": ";".join(f"{name}={value}" for name, value in figure.where),
            "period": figure.period,
            "shown": format_figure(figure, language).full,
            "conf_status": figure.conf_status,
            "command": f"{trace_command(figure, edition)} --verify",
        }
        for figure in chosen
    ]
