"""Alerts: each is sent once when it begins and once when it is settled.

The events of the ledger (kinds ``announced`` and ``settled``) hold the state, so that a restart sends nothing twice and an alert
that could not be delivered is tried again.
"""

from __future__ import annotations

from sqlalchemy import select

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.server import edition_alerts
from footprint.server.alert_rules import Alert, AlertRule, exceeded_objectives, failed_jobs, silent_agents
from footprint.server.notifications import Message, NotDelivered, send
from footprint.storage import schema
from footprint.storage.database import Store, table

ANNOUNCED, SETTLED = "announced", "settled"

# A new kind of alert is one rule and one line here.
ALERT_RULES: tuple[AlertRule, ...] = (
    silent_agents,
    failed_jobs,
    exceeded_objectives,
    edition_alerts.drafted,
    edition_alerts.released,
    edition_alerts.late,
)


def dispatch(store: Store, config: Config, now_us: int) -> str:
    """Send what is new and what is settled; returns one line for the record of the job.

    Raises
    ------
    NotDelivered
        If an alert could not be sent; the next run tries again, and what was delivered is not sent twice.
    """
    standing = {alert.key: alert for rule in ALERT_RULES for alert in rule(store, config, now_us)}
    announced = _announced(store)
    failed: list[str] = []
    sent = 0
    for key, alert in sorted(standing.items()):
        if key not in announced:
            sent += _send_once(store, config, now_us, ANNOUNCED, alert, failed)
    for key in sorted(announced - set(standing)):
        if key.partition(" ")[0] in _ENDS:
            sent += _send_once(store, config, now_us, SETTLED, _settled(key), failed)
    if failed:
        raise NotDelivered("; ".join(dict.fromkeys(failed)))
    return f"{len(standing)} active, {sent} sent"


_ENDS = {
    "silent-agent": ("relevés à nouveau", "readings again"),
    "job-failed": ("réussit à nouveau", "succeeds again"),
    "release-missed": ("a paru", "has been released"),
}


def _settled(key: str) -> Alert:
    event, _, name = key.partition(" ")
    french, english = _ENDS[event]
    sentence = f"{name} : {french}", f"{name}: {english}"
    return Alert(key, event, sentence, sentence)


def _send_once(store: Store, config: Config, now_us: int, kind: str, alert: Alert, failed: list[str]) -> int:
    chosen = 0 if config.notify.language == "fr" else 1
    mark = ("[DÉMO] ", "[DEMO] ")[chosen] if config.demo else ""
    subject = f"{mark}{config.organisation or 'Footprint'} · {alert.subject[chosen]}"
    message = Message(alert.event, subject, alert.text[chosen] + "\n", format_instant(now_us), alert.attachments)
    try:
        send(config.notify, message)
    except NotDelivered as bad:
        failed.append(str(bad))
        return 0
    with store.begin() as connection:
        store.record_event(connection, now_us, kind, alert.key)
    return 1


def _announced(store: Store) -> set[str]:
    """Keys that were announced and not settled since."""
    event = table(schema.Event)
    wanted = event.c.kind.in_((ANNOUNCED, SETTLED))
    with store.read() as connection:
        rows = connection.execute(select(event.c.kind, event.c.text).where(wanted).order_by(event.c.id)).all()
    state = {row.text: row.kind for row in rows}
    return {key for key, kind in state.items() if kind == ANNOUNCED}
