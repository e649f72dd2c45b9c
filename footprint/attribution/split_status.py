"""Split statuses: how far the division of the energy of a service can be relied on; apart, so that readers import no SciPy."""

from __future__ import annotations

OK, SUSPECT, REFUSED = "ok", "log-suspect", "refused"
