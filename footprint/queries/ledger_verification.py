"""Verification of the ledger: sealed files and figures against their digests, and the energy balance of each host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from footprint.config import Config
from footprint.core.records import FootprintError
from footprint.ledger.object_store import ObjectStore
from footprint.ledger.verifier import is_sealed, verify
from footprint.queries.aggregation_lag import pending_hosts
from footprint.queries.energy_balance import OPEN, PENDING, energy_balance
from footprint.queries.figure_verification import verify_figures
from footprint.storage import schema
from footprint.storage.database import Store, table


class VerificationFailed(FootprintError):
    """Sealed files or figures differ from their digests, or balances do not close."""


@dataclass(frozen=True, slots=True)
class LedgerVerification:
    """Faults and notes of a verification; ``finding`` says what was verified, and is empty if there was nothing to verify."""

    faults: Sequence[str]
    notes: Sequence[str]
    finding: str


def verify_folder(folder: Path) -> LedgerVerification:
    """Verify a sealed folder by itself."""
    faults, notes = verify(folder)
    return LedgerVerification(faults, notes, "as it was sealed" if is_sealed(folder) else "")


def verify_ledger(store: Store, config: Config, from_us: int | None = None) -> LedgerVerification:
    """Verify the sealed files and the figures of a ledger, and its balances from ``from_us`` [µs] on."""
    with ObjectStore(config.sealed_url()).local() as folder:
        files = verify_folder(folder)
    balances = energy_balance(store, config, from_us, None)
    sealed = table(schema.Sealed)
    with store.read() as connection:
        sealed_parts = connection.execute(select(func.count()).select_from(sealed)).scalar() or 0
    figures = verify_figures(store)
    faults, notes = [*files.faults, *figures.faults], list(files.notes)
    if sealed_parts and not files.finding:
        faults.append(f"{config.sealed_url()}: {sealed_parts} parts were sealed, and no chain is there: deleted or moved")
    faults += [f"the balance of {row['host']} does not close: {row['reason']}" for row in balances if row["state"] == OPEN]
    notes += filter(None, [pending_hosts(balances), figures.note])
    return LedgerVerification(faults, notes, _finding(files.finding, balances, figures.verified))


def _finding(files: str, balances: Sequence[dict[str, Any]], verified: int) -> str:
    figures = f"figures of {verified} days of hosts and services are as they were computed"
    if not balances:
        return f"{files or 'nothing is sealed yet'}, and {figures}" if verified else files
    verdict = "every balance closes"
    if any(row["state"] == PENDING for row in balances):
        is_computed = any(row["closes"] is not None for row in balances)
        verdict = f"{verdict} as far as computed" if is_computed else "no balance is computed yet"
    return f"{files or 'nothing is sealed yet'}, and {verdict}" + (f"; {figures}" if verified else "")
