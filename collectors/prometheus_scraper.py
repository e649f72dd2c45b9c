"""This file reads the energy that other exporters of this host show on their /metrics, by the table data/exporters.csv.

Requirements: ``[agent] scrape = ["http://127.0.0.1:9100/metrics"]``; HTTP on this host. Counters only: a polled power
loses what lies between two scrapes. Two exporters that show one group are not added: the first that was read counts.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from collectors.background_reader import SlowReader
from collectors.base import Unavailable
from footprint.core.prometheus_metrics import ExporterMetric, metrics_named, parse_exposition
from footprint.core.samples import Channel, Sample

TIMEOUT_S = 10
MAX_BYTES = 32_000_000
_OK = 200


class Scraper:
    """Reads some exporters again and again, beside the loop."""

    def __init__(self, urls: Sequence[str], period_s: float) -> None:
        self._urls, self._period_us = urls, round(period_s * 1e6)
        self._exporter_of: dict[str, str] = {}  # group -> the exporter that counts
        self._said: set[str] = set()
        self.failures = 0
        self._reader = SlowReader(self._read, period_s)

    def take(self) -> Iterator[Sample]:
        """Samples read since the last call; an exporter that fails gives none."""
        try:
            yield from self._reader.take()
        except Unavailable as why:
            self.failures += 1
            self._say(str(why))

    def _read(self, at_us: int, mono_us: int) -> list[Sample]:
        found: list[Sample] = []
        for url in self._urls:
            try:
                text = fetch(url)
            except (OSError, http.client.HTTPException, ValueError) as bad:
                self.failures += 1
                self._say(f"{url}: {bad}")
                continue
            found += self.samples_of(text, at_us, mono_us)
        return found

    def samples_of(self, text: str, at_us: int, mono_us: int) -> list[Sample]:
        """Samples of the counters that an exposition shows, each device once."""
        best: dict[str, tuple[int, ExporterMetric, int]] = {}
        for name, labels, raw in parse_exposition(text):
            for entry in metrics_named(name):
                device, value = entry.device_of(labels), entry.to_micro(raw)
                if entry.quantity != "energy" or device is None or value is None or not self._counts(entry):
                    continue
                rank = entry.rank(labels)
                before = best.get(device)
                if before is None or rank < before[0]:
                    best[device] = rank, entry, value
                elif rank == before[0]:
                    best[device] = rank, entry, entry.combine(before[2], value)
        return [Sample(self._channel(device, entry), at_us, mono_us, value) for device, (_, entry, value) in best.items()]

    def _channel(self, device: str, entry: ExporterMetric) -> Channel:
        source = f"{entry.exporter}-energy"
        return Channel(device, entry.component, source, entry.wrap_uj, entry.limit_uw, period_us=self._period_us)

    def _counts(self, entry: ExporterMetric) -> bool:
        chosen = self._exporter_of.setdefault(entry.group, entry.exporter)
        if chosen != entry.exporter:
            self._say(f"{entry.exporter} and {chosen} both show this host's {entry.group}; only {chosen} counts")
        return chosen == entry.exporter

    def _say(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            print(f"footprint-agent: scrape: {what}", file=sys.stderr)

    def close(self) -> None:
        """End the reading."""
        self._reader.stop()


def fetch(url: str) -> str:
    """What an address answers.

    Raises
    ------
    OSError, http.client.HTTPException, ValueError
        If it does not answer, or not with 200.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        answer = connection.getresponse()
        if answer.status != _OK:
            raise ValueError(f"answers {answer.status}")
        return answer.read(MAX_BYTES).decode("utf-8", "replace")
    finally:
        connection.close()
