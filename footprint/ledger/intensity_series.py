"""This file keeps series of carbon intensity: asked for day by day, tried again where that helps, kept as they came.

A day that was asked for is kept before the next is: a fetch that was cut off goes on where it ended.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from footprint.attribution.largest_remainder import Floats, Ints
from footprint.core.prometheus_metrics import SourceUnavailable
from footprint.core.records import FootprintError
from footprint.core.timestamps import BadTimestamp, parse_instant
from footprint.core.units import US_PER_DAY
from footprint.ledger.sources import SOURCES
from footprint.ledger.sources.base import BadAnswer, IntensitySample, IntensitySource, SourceRequest, parse_sample
from footprint.storage import schema
from footprint.storage.database import Store, table

MAX_ATTEMPTS, MAX_WAIT_S, TIMEOUT_S = 4, 60.0, 30.0
PAUSE_S = 0.2  # between two days: a public service is not ours to load

Get = Callable[[SourceRequest], tuple[int, dict[str, str], bytes]]


class BadSeries(FootprintError):
    """A file of a series that cannot be read, with the line."""


def http_getter(url: str) -> Get:
    """Asks one server: status, headers in lower case, body.

    Raises
    ------
    TimeoutError, OSError
        From the function that it gives, where the server does not answer whole.
    """
    import httpx  # noqa: PLC0415 - an extra

    client = httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_S)

    def get(request: SourceRequest) -> tuple[int, dict[str, str], bytes]:
        try:
            answer = client.get(request.path, params=request.parameters, headers=request.headers)
        except httpx.TimeoutException as late:
            raise TimeoutError(str(late) or "timed out") from None
        except httpx.HTTPError as bad:
            raise OSError(str(bad)) from None
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content

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
    """Ask a source for [from, to) day by day and keep what it says; how many samples were new or changed.

    Without ``from_us`` it goes on from the last sample that is kept, or begins a day before ``to_us``.

    Raises
    ------
    SourceUnavailable
        If it does not answer as it should after some attempts; the days before are kept.
    """
    source = SOURCES[name]
    if source.zones and zone not in source.zones:
        raise SourceUnavailable(f"{name} knows {', '.join(source.zones)} only, not {zone}")
    if source.key_variable and not key:
        raise SourceUnavailable(f"{name} asks for a key: set {source.key_variable}, or --key-file")
    ask = get or http_getter(url or source.url)
    start_us = from_us if from_us is not None else (_last_start_us(store, name, zone) or to_us - US_PER_DAY)
    kept = 0
    while start_us < to_us:
        end_us = min(start_us - start_us % US_PER_DAY + US_PER_DAY, to_us)
        found = _fetch_samples(source, source.build_request(zone, start_us, end_us, key), ask, sleep)
        kept += store_samples(
            store, name, zone, [each for each in found if start_us <= each.start_us < end_us], source.length_us, now_us
        )
        start_us = end_us
        if start_us < to_us:
            sleep(PAUSE_S)
    return kept


def _fetch_samples(
    source: IntensitySource, request: SourceRequest, ask: Get, sleep: Callable[[float], None]
) -> list[IntensitySample]:
    said = ""
    for attempt in range(MAX_ATTEMPTS):
        wait_s = float(2**attempt)
        try:
            status, headers, body = ask(request)
        except OSError as bad:  # TimeoutError is one
            said = str(bad)
        else:
            if status == 200:
                try:
                    # What a body calls itself is not to be believed: it is JSON or it is not.
                    return source.parse_response(json.loads(body))
                except ValueError:
                    said = f"{len(body)} bytes that are not JSON"
                except BadAnswer as bad:
                    raise SourceUnavailable(f"{source.name}: {bad}") from None
            elif status == 429 or status >= 500:
                said = f"status {status}"
                wait_s = _retry_after(headers.get("retry-after"), wait_s)
            else:
                raise SourceUnavailable(f"{source.name}: status {status}: {body[:200].decode('utf-8', 'replace')}")
        if attempt + 1 < MAX_ATTEMPTS:
            sleep(min(wait_s, MAX_WAIT_S))
    raise SourceUnavailable(f"{source.name}: {said}, {MAX_ATTEMPTS} times; what was kept before stays, ask again later")


def _retry_after(text: str | None, default_s: float) -> float:
    try:
        return max(float(text or default_s), 0.0)
    except ValueError:
        return default_s


def read_series(path: str) -> list[IntensitySample]:
    """Samples of a CSV file with the columns ``time`` and ``g_per_kwh``; an empty value is a hole.

    Raises
    ------
    BadSeries
        If a line cannot be right.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"time", "g_per_kwh"} - set(reader.fieldnames or ())
            if missing:
                raise BadSeries(f"{path}:1: columns missing: {', '.join(sorted(missing))}")
            found = []
            for row in reader:
                try:
                    parse_instant(row["time"])
                    one = parse_sample(row["time"], row["g_per_kwh"])
                except (BadAnswer, BadTimestamp, ValueError) as bad:
                    raise BadSeries(f"{path}:{reader.line_num}: {bad}") from None
                found += [one] if one is not None else []
    except (OSError, UnicodeDecodeError) as bad:
        raise BadSeries(f"{path}: cannot be read: {bad}") from None
    return found


def store_samples(store: Store, series: str, zone: str, samples: Sequence[IntensitySample], length_us: int, now_us: int) -> int:
    """Keep samples beside what was kept before: a value that a source revised is a row of its own, the latest counts."""
    if not samples:
        return 0
    low, high = min(each.start_us for each in samples), max(each.start_us for each in samples)
    known = dict(zip(*(column.tolist() for column in series_values(store, series, zone, low, high + 1)[:2]), strict=True))
    rows = [
        {
            "series": series,
            "zone": zone,
            "start_us": each.start_us,
            "retrieved_us": now_us,
            "length_us": length_us,
            "g_per_kwh": each.g_per_kwh,
            "estimated": each.estimated,
        }
        for each in samples
        if known.get(each.start_us) != each.g_per_kwh
    ]
    with store.begin() as connection:
        store.upsert(connection, schema.Intensity, list({row["start_us"]: row for row in rows}.values()))
    return len(rows)


def _last_start_us(store: Store, series: str, zone: str) -> int | None:
    target = table(schema.Intensity)
    with store.read() as connection:
        found = connection.execute(
            select(func.max(target.c.start_us)).where(target.c.series == series, target.c.zone == zone)
        ).scalar()
    return None if found is None else int(found)


def series_values(store: Store, series: str, zone: str, start_us: int, end_us: int) -> tuple[Ints, Floats, Ints]:
    """Begins [µs], intensities [g/kWh] and lengths [µs] of a series in [start, end), as last retrieved, in order."""
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
        np.array([latest[s][0] for s in starts.tolist()], dtype=np.float64),
        np.array([latest[s][1] for s in starts.tolist()], dtype=np.int64),
    )


def known_series(store: Store, zone: str, start_us: int, end_us: int) -> list[str]:
    """Names of the series that tell something of a zone in [start, end), in code-point order."""
    target = table(schema.Intensity)
    with store.read() as connection:
        found = connection.execute(
            select(target.c.series)
            .where(target.c.zone == zone, target.c.start_us >= start_us, target.c.start_us < end_us)
            .distinct()
        ).scalars()
        return sorted(found)
