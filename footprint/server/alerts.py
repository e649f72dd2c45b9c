"""This file tells people what is wrong or due: each matter once when it begins, and once when it is settled.

What was told stands among the events of the ledger (kinds ``announced`` and ``settled``), so that a restart tells nothing twice
and what could not be delivered is tried again. A new kind of matter is one function and one line in ``watched``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import select

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.i18n.formatting import moment
from footprint.queries.agent_liveness import SILENT, last_heard
from footprint.queries.objectives import EXCEEDED, standings
from footprint.server.jobs import ANNOUNCE, FAILED, latest_runs
from footprint.server.notifications import Attachment, Message, NotDelivered, send
from footprint.storage import schema
from footprint.storage.database import Store, table

ANNOUNCED, SETTLED = "announced", "settled"

Pair = tuple[str, str]  # French, English


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that people should know while it stands; ``key`` is the same as long as it is the same matter.

    Where the end of a matter is worth telling, ``_ENDS`` says how.
    """

    key: str
    event: str
    subject: Pair
    text: Pair
    attachments: tuple[Attachment, ...] = ()


def silent_agents(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Hosts that used to tell readings and have not for ``[notify] silent_after_s``."""
    for heard in last_heard(store, config, now_us):
        if heard.state == SILENT:
            host, at = heard.host, format_instant(heard.last_us)
            when = [moment(at, config.timezone, language) for language in ("fr", "en")]
            yield Alert(
                f"silent-agent {host}",
                "silent-agent",
                (f"{host} : aucun relevé depuis le {when[0]}", f"{host}: no reading since {when[1]}"),
                (
                    (
                        f"Le dernier relevé de {host} date du {when[0]} ({config.timezone}). Ce qui suit manque : la "
                        f"couverture baisse, aucune valeur n’est supposée.\n"
                        f"Sur {host} : systemctl status footprint-agent ; footprint-agent probe"
                    ),
                    (
                        f"The last reading of {host} is of {when[1]} ({config.timezone}). What follows is missing: coverage "
                        f"falls, and no value is supposed.\nOn {host}: systemctl status footprint-agent; footprint-agent probe"
                    ),
                ),
            )


def failed_jobs(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Jobs of the scheduler whose last run that ended failed."""
    seen: set[str] = {ANNOUNCE}  # whose own failure nobody could be told of
    for run in latest_runs(store, every=True):
        name, said = run["name"], run["said"]
        if name in seen or run["ended_us"] is None:
            continue
        seen.add(name)
        if run["status"] == FAILED:
            yield Alert(
                f"job-failed {name}",
                "job-failed",
                (f"La tâche {name} a échoué", f"The job {name} failed"),
                (
                    f"La tâche {name} a échoué : {said}\nfootprint jobs en dit plus.",
                    f"The job {name} failed: {said}\nfootprint jobs says more.",
                ),
            )


def exceeded_objectives(store: Store, config: Config, now_us: int) -> Iterator[Alert]:
    """Budgets and targets that are surely exceeded in the period that runs."""
    for found in standings(store, config, now_us):
        if found.state == EXCEEDED:
            name, period = found.objective.name, found.period
            yield Alert(
                f"objective {name} {period}",
                "objective-exceeded",
                (f"Objectif dépassé : {name}, {period}", f"Objective exceeded: {name}, {period}"),
                (
                    (
                        "Tout l’intervalle à 95 % est au-dessus de la limite. footprint objectives donne les valeurs "
                        f"de « {name} » pour {period}."
                    ),
                    (
                        "The whole 95 % interval is above the limit. footprint objectives gives the values of "
                        f"“{name}” in {period}."
                    ),
                ),
            )


AlertRule = Callable[[Store, Config, int], Iterable[Alert]]


def alert_rules() -> tuple[AlertRule, ...]:
    """What is looked at, in order."""
    from footprint.server import edition_alerts  # noqa: PLC0415 - it names what a matter is

    return (silent_agents, failed_jobs, exceeded_objectives, edition_alerts.drafted, edition_alerts.released, edition_alerts.late)


def dispatch(store: Store, config: Config, now_us: int) -> str:
    """Tell what is new and what is settled; what to say of it.

    Raises
    ------
    NotDelivered
        If something could not be told; it is tried again at the next run, and what was delivered is not told twice.
    """
    standing = {matter.key: matter for watch in alert_rules() for matter in watch(store, config, now_us)}
    told = _told(store)
    failed: list[str] = []
    sent = 0
    for key, matter in sorted(standing.items()):
        if key not in told:
            sent += _tell(store, config, now_us, ANNOUNCED, matter, failed)
    for key in sorted(told - set(standing)):
        if key.partition(" ")[0] in _ENDS:
            sent += _tell(store, config, now_us, SETTLED, _settled(key), failed)
    if failed:
        raise NotDelivered("; ".join(dict.fromkeys(failed)))
    return f"{len(standing)} matters stand, {sent} told"


_ENDS = {
    "silent-agent": ("relevés à nouveau", "readings again"),
    "job-failed": ("réussit à nouveau", "succeeds again"),
    "release-missed": ("a paru", "has been released"),
}


def _settled(key: str) -> Alert:
    event, _, name = key.partition(" ")
    french, english = _ENDS[event]
    said = f"{name} : {french}", f"{name}: {english}"
    return Alert(key, event, said, said)


def _tell(store: Store, config: Config, now_us: int, kind: str, matter: Alert, failed: list[str]) -> int:
    chosen = 0 if config.notify.language == "fr" else 1
    mark = ("[DÉMO] ", "[DEMO] ")[chosen] if config.demo else ""
    subject = f"{mark}{config.organisation or 'Footprint'} · {matter.subject[chosen]}"
    message = Message(matter.event, subject, matter.text[chosen] + "\n", format_instant(now_us), matter.attachments)
    try:
        send(config.notify, message)
    except NotDelivered as bad:
        failed.append(str(bad))
        return 0
    with store.begin() as connection:
        store.log(connection, now_us, kind, matter.key)
    return 1


def _told(store: Store) -> set[str]:
    """Keys that were announced and not settled since."""
    event = table(schema.Event)
    wanted = event.c.kind.in_((ANNOUNCED, SETTLED))
    with store.read() as connection:
        rows = connection.execute(select(event.c.kind, event.c.text).where(wanted).order_by(event.c.id)).all()
    state = {row.text: row.kind for row in rows}
    return {key for key, kind in state.items() if kind == ANNOUNCED}
