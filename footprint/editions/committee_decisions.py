"""Decisions of the committee, read from a TOML file with one block a decision; they are text, never statistics.

[[decision]]
period = "2026-Q3"
date = "2026-10-20"
fr = "Réserver le grand modèle aux usages autorisés."
en = "Keep the large model for authorised uses."
effect_fr = "…"       # the follow-up, added later
"""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Any

from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.editions.release_context import CommitteeDecision
from footprint.editions.repository import edition_files
from footprint.ledger.object_store import ObjectStoreError

DECISIONS_FILE = "decisions.toml"
_TEXTS = ("fr", "en", "effect_fr", "effect_en")


class BadDecisions(FootprintError):
    """A decisions file that cannot be read; the message names the block."""


def read_decisions(config: Config, period: str) -> tuple[CommitteeDecision, ...]:
    """Decisions of a period in date order; empty if there is no file.

    Raises
    ------
    BadDecisions
        If the file is not TOML, or a decision lacks its date, its period or its text.
    """
    location = config.editions.decisions
    try:
        if location:
            text = Path(location).read_text(encoding="utf-8")
        else:
            editions = edition_files(config)
            if not editions.exists(DECISIONS_FILE):
                return ()
            text, location = editions.read(DECISIONS_FILE).decode("utf-8"), f"{editions.url}/{DECISIONS_FILE}"
        document = tomllib.loads(text)
    except (OSError, ObjectStoreError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadDecisions(f"{location}: cannot be read: {error}") from None
    blocks = enumerate(document.get("decision", []), 1)
    decisions = [_decision(block, location, number) for number, block in blocks if block.get("period") == period]
    return tuple(sorted(decisions, key=lambda block: (block.date, block.fr)))


def _decision(block: dict[str, Any], location: str, number: int) -> CommitteeDecision:
    prefix = f"{location}: decision {number}"
    try:
        date = datetime.date.fromisoformat(str(block["date"])).isoformat()
    except (KeyError, ValueError):
        raise BadDecisions(f'{prefix} needs a date, such as date = "2026-10-20"') from None
    texts = {name: str(block.get(name, "")) for name in _TEXTS}
    if not texts["fr"] and not texts["en"]:
        raise BadDecisions(f'{prefix} needs text: fr = "…", en = "…"')
    return CommitteeDecision(
        date,
        texts["fr"] or texts["en"],
        texts["en"] or texts["fr"],
        texts["effect_fr"] or texts["effect_en"],
        texts["effect_en"] or texts["effect_fr"],
    )
