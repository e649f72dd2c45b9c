"""Split statuses: how far the division of the energy of a service over its use cases can be relied on."""

from __future__ import annotations

OK, SUSPECT, REFUSED = "ok", "log-suspect", "refused"
