"""This file is the register of avoidable energy: what served nobody, and who does what about it, by the [[action]] blocks."""

from __future__ import annotations

from typing import Any

from footprint.config import Config
from footprint.config.evaluations import Action
from footprint.queries.avoidable_energy import COLUMNS as FOUND
from footprint.queries.avoidable_energy import avoidable
from footprint.storage.database import Store

COLUMNS = (*FOUND, "owner", "status", "since", "action")


def register(store: Store, config: Config, from_us: int | None, to_us: int | None) -> list[dict[str, Any]]:
    """Rows of ``avoidable`` with owner, status, date and text of the action that concerns each; None where nobody took it.

    The action that names most of a row (service, use case) speaks for it. One whose cause no longer occurs stays in the register,
    with an energy of 0 where something was read in the period, and unknown where nothing was.
    """
    rows = avoidable(store, config, from_us, to_us)
    read = bool(rows)
    taken = set()
    for row in rows:
        row.update(dict.fromkeys(("owner", "status", "since", "action")))
        mine = [each for each in config.actions if each.concerns(row["cause"], row["service"], row["use_case"])]
        for action in sorted(mine, key=lambda each: (bool(each.service) + bool(each.use_case), each.since)):
            row.update(_said(action))
            taken.add(action)
    return rows + [
        {
            **dict.fromkeys(COLUMNS),
            "service": action.service,
            "cause": action.cause,
            "use_case": action.use_case,
            "energy_kwh": 0.0 if read else None,
            **_said(action),
        }
        for action in config.actions
        if action not in taken
    ]


def _said(action: Action) -> dict[str, Any]:
    return {"owner": action.owner, "status": action.status, "since": action.since or None, "action": action.text or None}
