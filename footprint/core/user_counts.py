"""Counts of distinct users per publication cell, taken while a log is read, for disclosure control.

No identity leaves this module: each name becomes a keyed digest at once, the key exists only in memory and only as long
as the count, and the results are numbers. Distinct counts do not add up, so margins are counted separately. The rules are in
docs/reference/contract.md, section 5b.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from footprint.core.log_formats import FieldMap
from footprint.core.timestamps import BadTimestamp, parse_instant, to_datetime

COLUMNS = ("period", "service", "use_case", "users", "max_share", "teams")
Cell = tuple[str, str, str]


class DistinctUsers:
    """Distinct users with their tokens and teams by cell: month and quarter, service, use case, and every margin."""

    def __init__(self, field_map: FieldMap, zone: tzinfo, service_of_model: Mapping[str, str]) -> None:
        self._map, self._zone, self._service_of_model = field_map, zone, service_of_model
        self._key = secrets.token_bytes(32)
        self._tokens: dict[Cell, dict[bytes, int]] = defaultdict(lambda: defaultdict(int))
        self._teams: dict[Cell, set[bytes]] = defaultdict(set)
        self.unnamed = 0

    def add(self, record: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Count one request, from the record as logged and its mapped columns; one without user is counted in ``unnamed``."""
        user = self._map.user(record) if self._map.user else None
        if user in (None, ""):
            self.unnamed += 1
            return
        try:
            moment = to_datetime(parse_instant(str(row.get("end") or row["start"]))).astimezone(self._zone)
        except (BadTimestamp, KeyError):
            return  # not a request
        service = str(row.get("service") or self._service_of_model.get(str(row.get("model", "")), ""))
        tokens = sum(int(row[name]) for name in ("input_tokens", "output_tokens") if str(row.get(name, "")).isdigit())
        team = self._map.team(record) if self._map.team else None
        for cell in _cells(moment, service, str(row.get("use_case", ""))):
            self._tokens[cell][self._digest(user)] += tokens
            if team not in (None, ""):
                self._teams[cell].add(self._digest(team))

    def _digest(self, name: Any) -> bytes:
        return hashlib.blake2b(str(name).encode("utf-8", "replace"), key=self._key, digest_size=16).digest()

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per cell, sorted; ``max_share`` is the largest user's share of tokens, empty if there are none."""
        for cell in sorted(self._tokens):
            tokens = self._tokens[cell]
            total = sum(tokens.values())
            share = round(max(tokens.values()) / total, 6) if total else ""
            teams = len(self._teams[cell]) if cell in self._teams else ""
            yield dict(zip(COLUMNS, (*cell, len(tokens), share, teams), strict=True))


def _cells(moment: datetime, service: str, use_case: str) -> Iterator[Cell]:
    quarter = f"{moment.year}-Q{(moment.month + 2) // 3}"
    for period in (f"{moment.year}-{moment.month:02d}", quarter):
        yield from dict.fromkeys((period, s, u) for s in (service, "") for u in (use_case, ""))
