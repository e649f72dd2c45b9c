"""Scraper of other Prometheus exporters on this host: energy counters by the table data/exporters.csv.

Requirements: ``[agent] scrape = ["http://127.0.0.1:9100/metrics"]``; HTTP on this host. Counters only: a polled power
misses the changes between two scrapes. If two exporters show one group, only the first one read counts.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from collectors.background_reader import BackgroundReader
from collectors.base import Unavailable
from footprint.core.prometheus_metrics import ExporterMetric, metrics_named, parse_exposition
from footprint.core.samples import Channel, Sample

TIMEOUT_S = 10
MAX_BYTES = 32_000_000
_OK = 200


class PrometheusScraper:
    """Periodic scraper of some exporters, in the background."""

    def __init__(self, urls: Sequence[str], period_s: float) -> None:
        self._urls, self._period_us = urls, round(period_s * 1e6)
        self._exporter_of: dict[str, str] = {}  # group -> the exporter that counts
        self._logged: set[str] = set()
        self.failures = 0
        self._reader = BackgroundReader(self._read, period_s)

    def take(self) -> Iterator[Sample]:
        """Samples since the last call; none of an exporter that fails."""
        try:
            yield from self._reader.take()
        except Unavailable as error:
            self.failures += 1
            self._log_once(str(error))

    def _read(self, at_us: int, mono_us: int) -> list[Sample]:
        samples: list[Sample] = []
        for url in self._urls:
            try:
                text = fetch(url)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures += 1
                self._log_once(f"{url}: {error}")
                continue
            samples += self.samples_of(text, at_us, mono_us)
        return samples

    def samples_of(self, text: str, at_us: int, mono_us: int) -> list[Sample]:
        """Samples of the energy counters in an exposition, one per device."""
        best: dict[str, tuple[int, ExporterMetric, int]] = {}
        for name, labels, raw in parse_exposition(text):
            for entry in metrics_named(name):
                device, value = entry.device_of(labels), entry.to_micro(raw)
                if entry.quantity != "energy" or device is None or value is None or not self._is_chosen(entry):
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

    def _is_chosen(self, entry: ExporterMetric) -> bool:
        exporter = self._exporter_of.setdefault(entry.group, entry.exporter)
        if exporter != entry.exporter:
            self._log_once(f"{entry.exporter} and {exporter} both show this host's {entry.group}; only {exporter} counts")
        return exporter == entry.exporter

    def _log_once(self, message: str) -> None:
        if message not in self._logged:
            self._logged.add(message)
            print(f"footprint-agent: scrape: {message}", file=sys.stderr)

    def close(self) -> None:
        """Stop scraping."""
        self._reader.stop()


def fetch(url: str) -> str:
    """Body of a GET request.

    Raises
    ------
    OSError, http.client.HTTPException, ValueError
        If there is no response with status 200.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        if response.status != _OK:
            raise ValueError(f"answers {response.status}")
        return response.read(MAX_BYTES).decode("utf-8", "replace")
    finally:
        connection.close()
