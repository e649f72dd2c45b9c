"""Resend of rejected records, after the mend of what they were rejected for; beside a running agent too."""

from __future__ import annotations

import sys
from collections import Counter

from collectors.config import AgentConfig
from collectors.http_client import HttpError
from collectors.rejected_records import RejectedRecords
from collectors.shipper import IngestClient, NotSent, ShipmentOutcome

BATCH_LINES = 5_000
OK, FAILURE, INCOMPLETE = 0, 1, 5


def resend(config: AgentConfig, *, dry_run: bool) -> int:
    """Send all rejected records again, or only count them by reason; return the exit status of the command."""
    if not config.spool.is_dir():
        print(f"footprint-agent: no spool {config.spool}: nothing was rejected", file=sys.stderr)
        return OK
    aside = RejectedRecords(config.spool)
    if dry_run:
        _print_reasons(Counter(reason for _, reason in aside.read()))
        return OK
    rejects = aside.take()
    client = IngestClient(config.server, config.token_file, config.ca_file)
    outcome = ShipmentOutcome()
    try:
        for first in range(0, len(rejects), BATCH_LINES):
            outcome.add(client.send([record for record, _ in rejects[first : first + BATCH_LINES]]))
    except (NotSent, *HttpError) as error:
        print(f"footprint-agent: cannot ship: {error}; the records wait in {config.spool}", file=sys.stderr)
        return FAILURE
    outcome.rejects += [(record, "the token may not write for this host") for record in outcome.refused]
    aside.append(outcome.rejects)
    aside.settle()
    print(
        f"footprint-agent: {len(rejects) - len(outcome.rejects)} records sent, {len(outcome.rejects)} rejected", file=sys.stderr
    )
    _print_reasons(Counter(reason for _, reason in outcome.rejects))
    return INCOMPLETE if outcome.rejects else OK


def _print_reasons(counts: Counter[str]) -> None:
    for reason, count in counts.most_common():
        print(f"{count}\t{reason}")
