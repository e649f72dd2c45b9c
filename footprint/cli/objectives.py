"""This file prints objectives and what people are told: budgets, targets, matters that stand."""

from __future__ import annotations

from typing import Annotated

import typer

from footprint.cli.options import ConfigOption, Exit, FormatOption, OutputOption, UsageError, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us


def objectives(
    period: Annotated[str | None, typer.Option(help="2026, 2026-Q3 or 2026-07; default: the one that runs, for each.")] = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """How each budget and target of the configuration stands: kept, exceeded, running, or not measurable."""
    from footprint.calendar.periods import parse_period
    from footprint.queries.objectives import COLUMNS, objective_statuses

    facts, store = opened(config)
    rows = [found.row() for found in objective_statuses(store, facts, now_us(), parse_period(period) if period else None)]
    emit(list(COLUMNS), rows, form, output)
    if not rows:
        say("no [[objective]] of such a period in the configuration; `footprint init` shows how one is written")
        return Exit.NO_DATA
    return Exit.OK


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a message that says it is a test.")] = False,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Matters that stand now and that people are told of by e-mail or webhook, as [notify] declares."""
    from footprint.server.alerts import ALERT_RULES
    from footprint.server.notifications import Message, send

    facts, store = opened(config)
    if test:
        if not facts.notify.wanted:
            raise UsageError("[notify] declares neither smtp nor webhook")
        said = ("Ceci est un essai.", "This is a test.")[facts.notify.language != "fr"]
        subject = f"{facts.organisation or 'Footprint'} · {said}"
        send(facts.notify, Message("test", subject, said + "\n", format_instant(now_us())))
        say("delivered")
        return Exit.OK
    chosen = 0 if facts.notify.language == "fr" else 1
    rows = [
        {"event": matter.event, "subject": matter.subject[chosen], "text": matter.text[chosen]}
        for watch in ALERT_RULES
        for matter in watch(store, facts, now_us())
    ]
    emit(["event", "subject", "text"], rows, form, output)
    if not rows:
        say("nothing to tell")
    return Exit.OK
