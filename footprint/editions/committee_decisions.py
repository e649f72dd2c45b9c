"""This file reads what the committee wrote: a TOML file that it fills by period, never a statistic.

[[decision]]
period = "2026-Q3"
date = "2026-10-20"
fr = "Réserver le grand modèle aux usages autorisés."
en = "Keep the large model for authorised uses."
effect_fr = "…"       # what came of it, later
"""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Any

from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.editions.release_context import Decision
from footprint.editions.repository import edition_store
from footprint.ledger.object_store import ObjectStoreError

DECISIONS_FILE = "decisions.toml"
_TEXTS = ("fr", "en", "effect_fr", "effect_en")


class BadDecisions(FootprintError):
    """A file of decisions that cannot be read; the message names the block."""


def read_decisions(config: Config, period: str) -> tuple[Decision, ...]:
    """Decisions of a period, in order of their dates; none where there is no file.

    Raises
    ------
    BadDecisions
        If the file is not TOML, or a decision lacks its date, its period or its words.
    """
    place = config.editions.decisions
    try:
        if place:
            text = Path(place).read_text(encoding="utf-8")
        else:
            vault = edition_store(config)
            if not vault.exists(DECISIONS_FILE):
                return ()
            text, place = vault.read(DECISIONS_FILE).decode("utf-8"), f"{vault.url}/{DECISIONS_FILE}"
        found = tomllib.loads(text)
    except (OSError, ObjectStoreError, UnicodeDecodeError, tomllib.TOMLDecodeError) as bad:
        raise BadDecisions(f"{place}: cannot be read: {bad}") from None
    blocks = enumerate(found.get("decision", []), 1)
    told = [_decision(each, place, number) for number, each in blocks if each.get("period") == period]
    return tuple(sorted(told, key=lambda each: (each.date, each.fr)))


def _decision(block: dict[str, Any], place: str, number: int) -> Decision:
    where = f"{place}: decision {number}"
    try:
        date = datetime.date.fromisoformat(str(block["date"])).isoformat()
    except (KeyError, ValueError):
        raise BadDecisions(f'{where} needs a date, such as date = "2026-10-20"') from None
    texts = {name: str(block.get(name, "")) for name in _TEXTS}
    if not texts["fr"] and not texts["en"]:
        raise BadDecisions(f'{where} needs words: fr = "…", en = "…"')
    return Decision(
        date,
        texts["fr"] or texts["en"],
        texts["en"] or texts["fr"],
        texts["effect_fr"] or texts["effect_en"],
        texts["effect_en"] or texts["effect_fr"],
    )
