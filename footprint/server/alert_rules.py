"""Alerts and the rules of this service itself: silent agents, failed jobs, exceeded objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from footprint.config import Config
from footprint.core.timestamps import format_instant
from footprint.i18n.formatting import format_local_time
from footprint.queries.agent_liveness import SILENT, host_liveness
from footprint.queries.objectives import EXCEEDED, objective_statuses
from footprint.server.job_runs import ALERT_JOB, FAILED, latest_runs
from footprint.server.notifications import Attachment
from footprint.storage.database import Store

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
    for heard in host_liveness(store, config, now_us):
        if heard.state == SILENT:
            host, at = heard.host, format_instant(heard.last_us)
            when = [format_local_time(at, config.timezone, language) for language in ("fr", "en")]
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
    seen: set[str] = {ALERT_JOB}  # whose own failure nobody could be told of
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
    for found in objective_statuses(store, config, now_us):
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
