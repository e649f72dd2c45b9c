"""Dispatch of alerts: each is sent once when it starts and once when it is settled.

Events of the ledger (kinds ``announced`` and ``settled``) hold the state, so that a restart sends nothing twice, and an
undelivered alert is retried.
"""

from __future__ import annotations

from sqlalchemy import select

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.server.alert_rules import (
    Alert,
    AlertRule,
    drafted_editions,
    exceeded_objectives,
    expired_certificates,
    failed_jobs,
    late_aggregation,
    late_releases,
    released_editions,
    silent_agents,
    troubled_devices,
)
from footprint.server.notifications import Message, NotDelivered, send
from footprint.storage import schema
from footprint.storage.database import Store, table

ANNOUNCED, SETTLED = "announced", "settled"

# A new kind of alert is one rule and one line here.
ALERT_RULES: tuple[AlertRule, ...] = (
    silent_agents,
    troubled_devices,
    failed_jobs,
    late_aggregation,
    exceeded_objectives,
    expired_certificates,
    drafted_editions,
    released_editions,
    late_releases,
)


def dispatch(store: Store, config: Config, now_us: int) -> str:
    """Send new and settled alerts; return one line for the record of the job.

    Raises
    ------
    NotDelivered
        If an alert could not be sent. The next run retries it, and does not repeat delivered ones.
    """
    active = {alert.key: alert for rule in ALERT_RULES for alert in rule(store, config, now_us)}
    announced = _announced_keys(store)
    failures: list[str] = []
    sent = 0
    for key, alert in sorted(active.items()):
        if key not in announced:
            sent += _send_once(store, config, now_us, ANNOUNCED, alert, failures)
    for key in sorted(announced - set(active)):
        if key.partition(" ")[0] in _SETTLED_TEXTS:
            sent += _send_once(store, config, now_us, SETTLED, _settled_alert(key), failures)
    if failures:
        raise NotDelivered("; ".join(dict.fromkeys(failures)))
    return f"{len(active)} active, {sent} sent"


_SETTLED_TEXTS = {
    "silent-agent": ("relevés à nouveau", "readings again"),
    "sensor-in-doubt": ("n’est plus en doute", "is no longer in doubt"),
    "sensor-stands-still": ("n’est plus immobile", "no longer stands still"),
    "device-gone": ("est de retour", "is back"),
    "job-failed": ("réussit à nouveau", "succeeds again"),
    "aggregation-behind": ("a rattrapé son retard", "has caught up"),
    "release-missed": ("a paru", "has been released"),
    "certificate-expired": ("étalonné de nouveau", "calibrated again"),
}


def _settled_alert(key: str) -> Alert:
    event, _, name = key.partition(" ")
    french, english = _SETTLED_TEXTS[event]
    sentence = f"{name} : {french}", f"{name}: {english}"
    return Alert(key, event, sentence, sentence)


def _send_once(store: Store, config: Config, now_us: int, kind: str, alert: Alert, failures: list[str]) -> int:
    language_index = 0 if config.notify.language == "fr" else 1
    mark = ("[DÉMO] ", "[DEMO] ")[language_index] if config.demo else ""
    subject = f"{mark}{config.organisation or 'Footprint'} · {alert.subject[language_index]}"
    message = Message(alert.event, subject, alert.text[language_index] + "\n", format_instant(now_us), alert.attachments)
    try:
        send(config.notify, message)
    except NotDelivered as error:
        failures.append(str(error))
        return 0
    with store.begin() as connection:
        store.record_event(connection, now_us, kind, alert.key)
    return 1


def _announced_keys(store: Store) -> set[str]:
    """Keys of alerts that were announced and not settled since."""
    event = table(schema.Event)
    is_alert_event = event.c.kind.in_((ANNOUNCED, SETTLED))
    with store.read() as connection:
        rows = connection.execute(select(event.c.kind, event.c.text).where(is_alert_event).order_by(event.c.id)).all()
    last_kind = {row.text: row.kind for row in rows}
    return {key for key, kind in last_kind.items() if kind == ANNOUNCED}
