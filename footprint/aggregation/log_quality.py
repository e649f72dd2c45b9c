"""Quality of the log of a service on a day: requests in quarantine, without work, and attempts.

It is stored with the statistics of the day, so that pages and `footprint log-quality` read no request.
"""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from footprint.aggregation.odd_requests import bound_odd_requests
from footprint.core.request_checks import WITHOUT_WORK
from footprint.ledger.ledger_view import DOUBTS, LedgerView, RequestColumns


def log_quality_of_day(view: LedgerView, requests: RequestColumns, counted: NDArray[np.bool_]) -> str:
    """What is odd in the requests of a service that count on a day, as JSON; ``counted`` (n,) says which do.

    By reason, status or ``attempt``: number of records, and of requests.
    """
    requests = bound_odd_requests(requests)[counted]
    statuses = view.store.texts(view.connection, np.unique(requests.status).tolist())
    records, of_requests = Counter[str](), Counter[str]()

    def add(name: str, chosen: NDArray[np.bool_]) -> None:
        if chosen.any():
            records[name] += int(chosen.sum())
            of_requests[name] += int(requests.requests[chosen].sum())

    for code, reason in enumerate(DOUBTS, 1):
        add(f"quarantined: {reason}", requests.doubt == code)
    for number, status in statuses.items():
        if status in WITHOUT_WORK:
            add(f"without work: {status}", requests.status == number)
    add("attempt", requests.superseded > 0)
    content = {
        "requests": int(requests.requests[requests.superseded == 0].sum()),
        "findings": {name: [records[name], of_requests[name]] for name in sorted(records)},
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True)
