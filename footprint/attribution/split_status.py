"""Split statuses: how far the division of the energy of a service can be relied on; apart, so that readers import no SciPy."""

from __future__ import annotations

OK, SUSPECT, REFUSED = "ok", "log-suspect", "refused"
QUARANTINE = "quarantine"


def with_quarantine(status: str) -> str:
    """The status in a basis of calculation where requests in quarantine bear a part."""
    return f"{status} {QUARANTINE}".lstrip()
