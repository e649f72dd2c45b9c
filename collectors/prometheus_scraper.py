"""Scraper of other Prometheus exporters on this host: energy counters by the table data/exporters.csv.

Requirements: ``[agent] scrape = ["http://127.0.0.1:9100/metrics"]``; http on this machine, https elsewhere, with
``scrape_ca_file`` for a certificate of one's own. Counters only: a polled power misses the changes between two scrapes. If
two exporters show one group, only the first one read counts. An exposition above ``scrape_max_mb`` is not read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from collectors.background_reader import BackgroundReader
from collectors.base import Unavailable
from collectors.http_client import HttpClient, HttpError
from footprint.core.limits import name_fault, printable
from footprint.core.prometheus_metrics import ExporterMetric, metrics_named, parse_exposition
from footprint.core.samples import Channel, Sample

TIMEOUT_S = 10
MAX_BYTES = 1_000_000
MAX_DEVICES = 1_000  # of one exporter
MAX_MESSAGES = 100
_OK = 200


class PrometheusScraper:
    """Periodic scraper of some exporters, in the background."""

    def __init__(self, urls: Sequence[str], period_s: float, ca_file: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._clients = {
            url: HttpClient(url, ca_file, max_bytes=max_bytes, wait_s=TIMEOUT_S, deadline_s=2 * TIMEOUT_S) for url in urls
        }
        self._period_us = round(period_s * 1e6)
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
        for url, client in self._clients.items():
            try:
                text = fetch(client)
            except HttpError as error:
                self.failures += 1
                self._log_once(f"{url}: {error or type(error).__name__}")
                continue
            samples += self.samples_of(text, at_us, mono_us)
        return samples

    def samples_of(self, text: str, at_us: int, mono_us: int) -> list[Sample]:
        """Samples of the energy counters in an exposition, one per device."""
        best: dict[str, tuple[int, ExporterMetric, int]] = {}
        for name, labels, raw in parse_exposition(text, metrics_named):
            for entry in metrics_named(name):
                device, value = entry.device_of(labels), entry.to_micro(raw)
                if device is not None and (name_fault(device) or (device not in best and len(best) >= MAX_DEVICES)):
                    self._log_once(f"{name}: a device whose name cannot be one, or more than {MAX_DEVICES} devices")
                    continue
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
        if message not in self._logged and len(self._logged) < MAX_MESSAGES:
            self._logged.add(message)
            print(f"footprint-agent: scrape: {printable(message)}", file=sys.stderr)

    def close(self) -> None:
        """Stop scraping."""
        self._reader.stop()


def fetch(client: HttpClient) -> str:
    """Body of the answer of an exporter.

    Raises
    ------
    OSError, http.client.HTTPException, ValueError
        If there is no answer with status 200, or a longer one than the client takes.
    """
    url = client.url
    response = client.request("GET", (url.path or "/") + (f"?{url.query}" if url.query else ""))
    if response.status != _OK:
        raise ValueError(f"answers {response.describe_status()}")
    return response.body.decode("utf-8", "replace")
