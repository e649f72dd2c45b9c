"""Objectives and alerts: `objectives` and `notify`."""

from __future__ import annotations

from typing import Annotated

import typer

from footprint.cli.exit_status import Exit, UsageError
from footprint.cli.options import ConfigOption, FormatOption, OutputOption, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us


def objectives(
    period: Annotated[str | None, typer.Option(help="2026, 2026-Q3 or 2026-07; default: the current one of each.")] = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Where each budget and target stands.

    Kept, exceeded, running, or not measurable.
    """
    from footprint.calendar.periods import parse_period
    from footprint.queries.objectives import COLUMNS, objective_statuses

    facts, store = opened(config)
    rows = [standing.row() for standing in objective_statuses(store, facts, now_us(), parse_period(period) if period else None)]
    emit(list(COLUMNS), rows, form, output)
    if not rows:
        say("no [[objective]] of such a period in the configuration; `footprint init` writes an example")
        return Exit.NO_DATA
    return Exit.OK


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a message that says it is a test.")] = False,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """List current alerts, or send a test message.

    Alerts go out by e-mail or webhook, as [notify] declares.
    """
    from footprint.server.alerts import ALERT_RULES
    from footprint.server.notifications import Message, send

    facts, store = opened(config)
    if test:
        if not facts.notify.is_enabled:
            raise UsageError("[notify] declares neither smtp nor webhook")
        text = ("Ceci est un essai.", "This is a test.")[facts.notify.language != "fr"]
        subject = f"{facts.organisation or 'Footprint'} · {text}"
        send(facts.notify, Message("test", subject, text + "\n", format_instant(now_us())))
        say("delivered")
        return Exit.OK
    chosen = 0 if facts.notify.language == "fr" else 1
    rows = [
        {"event": alert.event, "subject": alert.subject[chosen], "text": alert.text[chosen]}
        for rule in ALERT_RULES
        for alert in rule(store, facts, now_us())
    ]
    emit(["event", "subject", "text"], rows, form, output)
    if not rows:
        say("no alert")
    return Exit.OK
