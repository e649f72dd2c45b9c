"""``[disclosure]``: thresholds of disclosure control for readers who may not see protected cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from footprint.config.toml_document import Document
from footprint.disclosure.primary_suppression import DOMINANCE, MIN_USERS_FLOOR, PROFILES

TABLE = "disclosure"
KEYS = {"profile", "min_users", "dominance", "min_teams"}


@dataclass(frozen=True, slots=True)
class DisclosureRules:
    """Minimum users of a cell, maximum share of tokens of one user, and minimum teams (0: no rule)."""

    profile: str = "default"
    min_users: int = PROFILES["default"]
    dominance: float = DOMINANCE
    min_teams: int = 0


def read_disclosure(document: Document) -> DisclosureRules:
    """Read the [disclosure] section; ``min_users`` overrides the profile.

    Raises
    ------
    ConfigError
        If the rules would protect nobody.
    """
    section: dict[str, Any] = document.data.get(TABLE, {})
    profile = section.get("profile", "default")
    if profile not in PROFILES:
        raise document.error(f"profile is {profile!r}; it must be one of {', '.join(PROFILES)}", TABLE, 0, "profile")
    users = section.get("min_users", PROFILES[profile])
    if not isinstance(users, int) or isinstance(users, bool) or users < MIN_USERS_FLOOR:
        raise document.error(
            f"min_users is {users!r}; in a cell of fewer than {MIN_USERS_FLOOR} users each sees what the others did: "
            f"set {MIN_USERS_FLOOR} or more ({PROFILES['default']} is usual, {PROFILES['strict']} strict)",
            TABLE,
            0,
            "min_users",
        )
    share = section.get("dominance", DOMINANCE)
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0.5 <= share < 1:
        raise document.error("dominance is the largest share one user may have, from 0.5 to below 1", TABLE, 0, "dominance")
    return DisclosureRules(profile, users, float(share), document.read_integer(TABLE, "min_teams", 0, 0))
