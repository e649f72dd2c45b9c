"""Own traffic: requests that this server counts of itself. They stand in its own row and in no total, ratio or change.

The store knows them by the service ``OWN_SERVICE``: the server alone writes it, and every other entry refuses the name. The
energy of the server is host energy like any other, in its row and in every total.
"""

from __future__ import annotations

from footprint.config.models import OWN_SERVICE
from footprint.figures.query import Query


def services_not_counted(query: Query) -> frozenset[str]:
    """Services whose requests and tokens stand in no row of a query.

    Own traffic is counted only where it is asked for (``Query.own_traffic``), and only by service: elsewhere its requests would
    mix with those of others.
    """
    filtered = {value for name, value in query.where if name == "service"}
    is_apart = "service" in query.group or filtered == {OWN_SERVICE}
    return frozenset() if query.own_traffic and is_apart else frozenset({OWN_SERVICE})


def is_own_row(services: set[str]) -> bool:
    """Whether a row is that of this server alone, which has no ratio per request."""
    return services == {OWN_SERVICE}
