"""Series of carbon intensity: fetched day by day with retries, or read from a file, and stored unchanged.

Each day is stored before the next request, so that an interrupted fetch resumes where it ended.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from footprint.attribution.array_types import Floats, Ints
from footprint.core.limits import instant_fault, printable
from footprint.core.prometheus_metrics import SourceUnavailable
from footprint.core.records import FootprintError
from footprint.core.timestamps import BadTimestamp, parse_instant
from footprint.core.units import US_PER_DAY
from footprint.ledger.sources import SOURCES
from footprint.ledger.sources.base import BadAnswer, IntensitySample, IntensitySource, SourceRequest, parse_sample
from footprint.storage import schema
from footprint.storage.database import Store, table

MAX_ATTEMPTS, MAX_WAIT_S, TIMEOUT_S = 4, 60.0, 30.0
PAUSE_S = 0.2  # between two days, to spare a public service

Get = Callable[[SourceRequest], tuple[int, dict[str, str], bytes]]


class BadSeries(FootprintError):
    """A series file that cannot be read; the message names the line."""


def http_getter(url: str, *, has_key: bool = False) -> Get:
    """HTTP client of one server: a function that returns status, headers in lower case and body.

    Raises
    ------
    InsecureAddress
        If a key would go to it in clear.
    OSError
        From the returned function, if the response is missing, incomplete, a redirect or too large.
    """
    import httpx  # noqa: PLC0415 - an extra

    from footprint.core.outgoing_http import BoundedClient  # noqa: PLC0415 - needs httpx

    client = BoundedClient(url, is_secret=has_key, total_s=TIMEOUT_S)

    def get(request: SourceRequest) -> tuple[int, dict[str, str], bytes]:
        try:
            answer = client.request("GET", request.path, parameters=request.parameters, headers=request.headers)
        except httpx.HTTPError as error:
            raise OSError(str(error) or type(error).__name__) from None
        return answer.status, dict(answer.headers), answer.content

    return get


def fetch_series(
    store: Store,
    name: str,
    zone: str,
    from_us: int | None,
    to_us: int,
    now_us: int,
    *,
    key: str = "",
    url: str = "",
    get: Get | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Fetch [from, to) from a source day by day and store it; return how many samples were new or changed.

    Without ``from_us`` it resumes from the last stored sample, or starts a day before ``to_us``.

    Raises
    ------
    SourceUnavailable
        If the source still fails after ``MAX_ATTEMPTS`` attempts; the days before are stored.
    """
    source = SOURCES[name]
    if source.zones and zone not in source.zones:
        raise SourceUnavailable(f"{name} knows {', '.join(source.zones)} only, not {zone}")
    if source.key_variable and not key:
        raise SourceUnavailable(f"{name} asks for a key: set {source.key_variable}, or --key-file")
    send = get or http_getter(url or source.url, has_key=bool(key))
    start_us = from_us if from_us is not None else (_last_start_us(store, name, zone) or to_us - US_PER_DAY)
    changed = 0
    while start_us < to_us:
        end_us = min(start_us - start_us % US_PER_DAY + US_PER_DAY, to_us)
        samples = _fetch_samples(source, source.build_request(zone, start_us, end_us, key), send, sleep)
        changed += store_samples(
            store, name, zone, [sample for sample in samples if start_us <= sample.start_us < end_us], source.length_us, now_us
        )
        start_us = end_us
        if start_us < to_us:
            sleep(PAUSE_S)
    return changed


def _fetch_samples(
    source: IntensitySource, request: SourceRequest, send: Get, sleep: Callable[[float], None]
) -> list[IntensitySample]:
    problem = ""
    for attempt in range(MAX_ATTEMPTS):
        wait_s = float(2**attempt)
        try:
            status, headers, body = send(request)
        except OSError as error:
            problem = str(error)
        else:
            if status == 200:
                try:
                    # Ignore the content type: the body is JSON or it is not.
                    return source.parse_response(json.loads(body))
                except (ValueError, RecursionError):
                    problem = f"{len(body)} bytes that are not JSON"
                except (AttributeError, KeyError, TypeError):
                    raise SourceUnavailable(f"{source.name}: the answer does not have the documented form") from None
                except BadAnswer as error:
                    raise SourceUnavailable(f"{source.name}: {error}") from None
            elif status == 429 or status >= 500:
                problem = f"status {status}"
                wait_s = _retry_after(headers.get("retry-after"), wait_s)
            else:
                raise SourceUnavailable(f"{source.name}: status {status}: {printable(body[:200].decode('utf-8', 'replace'))}")
        if attempt + 1 < MAX_ATTEMPTS:
            sleep(min(wait_s, MAX_WAIT_S))
    raise SourceUnavailable(f"{source.name}: {problem}, {MAX_ATTEMPTS} times; earlier samples stay stored, try again later")


def _retry_after(text: str | None, default_s: float) -> float:
    try:
        wait_s = float(text or default_s)
    except ValueError:
        return default_s
    return max(wait_s, 0.0) if math.isfinite(wait_s) else default_s


def read_series(path: str, now_us: int) -> list[IntensitySample]:
    """Samples of a CSV file with the columns ``time`` and ``g_per_kwh``; an empty value is a missing sample.

    Raises
    ------
    BadSeries
        If a line is invalid.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"time", "g_per_kwh"} - set(reader.fieldnames or ())
            if missing:
                raise BadSeries(f"{path}:1: columns missing: {', '.join(sorted(missing))}")
            samples = []
            for row in reader:
                try:
                    if fault := instant_fault(parse_instant(row["time"]), now_us):
                        raise BadTimestamp(fault)
                    parsed = parse_sample(row["time"], row["g_per_kwh"])
                except (BadAnswer, BadTimestamp, ValueError) as error:
                    raise BadSeries(f"{path}:{reader.line_num}: {error}") from None
                samples += [parsed] if parsed is not None else []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadSeries(f"{path}: cannot be read: {error}") from None
    return samples


def store_samples(store: Store, series: str, zone: str, samples: Sequence[IntensitySample], length_us: int, now_us: int) -> int:
    """Store samples beside earlier ones: a revised value is a new row and the latest retrieval wins. Return how many changed."""
    if not samples:
        return 0
    low, high = min(sample.start_us for sample in samples), max(sample.start_us for sample in samples)
    known = dict(zip(*(column.tolist() for column in series_values(store, series, zone, low, high + 1)[:2]), strict=True))
    rows = [
        {
            "series": series,
            "zone": zone,
            "start_us": sample.start_us,
            "retrieved_us": now_us,
            "length_us": length_us,
            "g_per_kwh": sample.g_per_kwh,
            "estimated": sample.estimated,
        }
        for sample in samples
        if known.get(sample.start_us) != sample.g_per_kwh
    ]
    with store.begin() as connection:
        store.upsert(connection, schema.Intensity, list({row["start_us"]: row for row in rows}.values()))
    return len(rows)


def _last_start_us(store: Store, series: str, zone: str) -> int | None:
    target = table(schema.Intensity)
    with store.read() as connection:
        start_us = connection.execute(
            select(func.max(target.c.start_us)).where(target.c.series == series, target.c.zone == zone)
        ).scalar()
    return None if start_us is None else int(start_us)


def series_values(store: Store, series: str, zone: str, start_us: int, end_us: int) -> tuple[Ints, Floats, Ints]:
    """Starts [µs], intensities [g/kWh] and lengths [µs] of a series in [start, end), as last retrieved, by time; shape (n,)."""
    target = table(schema.Intensity)
    with store.read() as connection:
        rows = connection.execute(
            select(target.c.start_us, target.c.g_per_kwh, target.c.length_us)
            .where(target.c.series == series, target.c.zone == zone, target.c.start_us >= start_us, target.c.start_us < end_us)
            .order_by(target.c.start_us, target.c.retrieved_us)
        ).all()
    latest = {int(start): (float(value), int(length)) for start, value, length in rows}
    starts = np.array(sorted(latest), dtype=np.int64)
    return (
        starts,
        np.array([latest[at_us][0] for at_us in starts.tolist()], dtype=np.float64),
        np.array([latest[at_us][1] for at_us in starts.tolist()], dtype=np.int64),
    )


def available_series(store: Store, zone: str, start_us: int, end_us: int) -> list[str]:
    """Names of the series with samples of a zone in [start, end), in code-point order."""
    target = table(schema.Intensity)
    with store.read() as connection:
        names = connection.execute(
            select(target.c.series)
            .where(target.c.zone == zone, target.c.start_us >= start_us, target.c.start_us < end_us)
            .distinct()
        ).scalars()
        return sorted(names)
