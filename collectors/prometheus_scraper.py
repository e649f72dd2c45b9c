"""Scraper of other Prometheus exporters on this host: energy counters and powers by the table data/exporters.csv.

Requirements: ``[agent] scrape = ["http://127.0.0.1:9100/metrics"]``; http on this machine, https elsewhere. An entry may be a
table, ``{ url = "https://…", ca_file = …, token_file = …, user = …, password_file = …, cert_file = …, key_file = … }``.

Metrics
-------
energy  a counter of each device; source <exporter>-energy. The range of a register that wraps is the zone's own where its
        folder is on this machine, else it is inferred from its falls (``footprint.core.counter_registers``)
power   a power of each device, integrated; source <exporter>-power

Of several exporters that count one group of devices the first that delivers counts; another one is a witness where it shows
the same devices. An exposition above ``scrape_max_mb`` is not read. What is not read is told once, with its reason.
"""

from __future__ import annotations

import base64
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from collectors.background_reader import BackgroundReader
from collectors.base import Unavailable
from collectors.config import AgentConfig, ScrapeTarget
from collectors.http_client import HttpClient, HttpError, Response, describe_error
from footprint.core.counter_registers import CounterCorrection, Register
from footprint.core.exposition import parse_exposition
from footprint.core.limits import is_loopback_url, name_fault, printable
from footprint.core.prometheus_metrics import add_exporters, looks_like_energy, metrics_named, unnamed_device
from footprint.core.samples import Channel, Sample
from footprint.core.secret_files import SecretFileError, read_secret
from footprint.core.series_identity import DeviceSeries, resolve_devices
from footprint.core.units import PJ_PER_UJ, UJ_PER_J, US_PER_S

TIMEOUT_S = 10
MAX_BYTES = 1_000_000
MAX_DEVICES = 1_000  # of one exporter
MAX_MESSAGES = 100
MAX_NAMES_TOLD = 10
STALE_S = 300  # Prometheus takes a sample for gone after as long
DELIVERY_PERIODS = 3  # an exporter that was silent for as long gives way to another one
MIRRORED_UJ = 5 * UJ_PER_J  # two readings of one register within one exposition differ by less
_TWO_READS_US = 2 * US_PER_S
_OK = 200
_CAUSES = {
    401: "asks for a user or a token (401): give it token_file, or user and password_file, in [agent] scrape",
    403: "does not allow it (403)",
    404: "has no metrics at this path (404)",
}
NO_READING = "no reading: a blank, NaN, a negative value, or more than the device can draw"


class _Value(NamedTuple):
    """Value of a series [µJ or µW], where it was read, and what its exporter says of it."""

    micro: int
    url: str
    own: object
    limit_uw: int


@lru_cache(4096)
def _measures_device(name: str) -> bool:
    return any(row.is_read and row.quantity in ("energy", "power") for row in metrics_named(name))


@lru_cache(4096)
def _is_unknown_energy(name: str) -> bool:
    return looks_like_energy(name)


class PrometheusScraper:
    """Periodic scraper of some exporters, in the background."""

    def __init__(
        self, targets: Sequence[ScrapeTarget], period_s: float, max_bytes: int = MAX_BYTES, sysfs: Path = Path("/sys")
    ) -> None:
        self._targets = targets
        self._clients: dict[str, HttpClient] = {}
        self._max_bytes, self._sysfs = max_bytes, sysfs
        self._period_us = round(period_s * 1e6)
        self._delivered_us: dict[tuple[str, str], int] = {}  # (group, exporter) -> last delivery; the first met comes first
        self._corrections: dict[tuple[str, str], CounterCorrection] = {}
        self._distinct: set[frozenset[object]] = set()  # series of one exporter that were seen to differ
        self._logged: set[str] = set()
        self.failures = 0
        self._reader = BackgroundReader(self.read, period_s)

    def take(self) -> Iterator[Sample]:
        """Samples since the last call; none of an exporter that fails."""
        try:
            yield from self._reader.take()
        except Unavailable as error:
            self.failures += 1
            self._log_once(str(error))

    def read(self, at_us: int, mono_us: int) -> list[Sample]:
        """Samples of all exporters now; one that fails is counted and told, and gives none."""
        series: list[DeviceSeries] = []
        for target in self._targets:
            try:
                text = self._fetch(target)
            except HttpError as error:
                self.failures += 1
                self._log_once(f"{target.url}: {describe_error(error, target.url)}")
                continue
            series += self._series_of(text, at_us, target.url)
        return self._samples(series, at_us, mono_us)

    def _fetch(self, target: ScrapeTarget) -> str:
        client = self._clients.get(target.url)
        if client is None:
            certificate = None if target.cert_file is None else (target.cert_file, target.key_file)
            client = self._clients[target.url] = HttpClient(
                target.url,
                target.ca_file,
                max_bytes=self._max_bytes,
                wait_s=TIMEOUT_S,
                deadline_s=2 * TIMEOUT_S,
                certificate=certificate,
            )
        return fetch(client, authorization(target))

    def samples_of(self, text: str, at_us: int, mono_us: int, url: str = "") -> list[Sample]:
        """Samples of the energies and powers in one exposition, one per device and source."""
        return self._samples(self._series_of(text, at_us, url), at_us, mono_us)

    def _series_of(self, text: str, at_us: int, url: str) -> list[DeviceSeries]:
        problems: Counter[str] = Counter()
        unknown: dict[str, None] = {}

        def is_wanted(name: str) -> bool:
            if _is_unknown_energy(name) and len(unknown) < MAX_NAMES_TOLD:
                unknown[name] = None
            return _measures_device(name)

        series: list[DeviceSeries] = []
        devices: set[str] = set()
        for name, labels, raw, at_s in parse_exposition(text, is_wanted, problems):
            if at_s is not None and at_us / US_PER_S - at_s > STALE_S:
                problems[f"stale: the exporter gives a time more than {STALE_S} s ago"] += 1
                continue
            if missing := unnamed_device(name, labels):
                problems[f"no label {missing} names the device"] += 1
            for metric in metrics_named(name):
                device = metric.device_of(labels, name)
                if device is None or metric.quantity not in ("energy", "power"):
                    continue
                micro = metric.to_micro(raw)
                if name_fault(device) or (device not in devices and len(devices) >= MAX_DEVICES):
                    problems[f"a device whose name cannot be one, or more than {MAX_DEVICES} devices"] += 1
                elif micro is None:
                    problems[NO_READING] += 1
                else:
                    devices.add(device)
                    one = DeviceSeries(metric, name, {**labels, "instance": url}, device)
                    series.append(replace(one, content=_Value(micro, url, one.own, metric.limit_uw)))
        self._report(url, problems, unknown, is_empty=not series)
        return series

    def _report(self, url: str, problems: Counter[str], unknown: dict[str, None], *, is_empty: bool) -> None:
        for reason, count in problems.items():
            # The count changes from scrape to scrape, so only the first one is told.
            if f"{url}: {reason}" not in self._logged and len(self._logged) < MAX_MESSAGES:
                self._logged.add(f"{url}: {reason}")
                self._print(f"{url}: {count} lines are not read: {reason}")
        if unknown:
            names = ", ".join(unknown)
            self._log_once(
                f"{url}: not read, because the table of exporters does not know them: {names}; they look like energy or power "
                "(describe those that are in a file and name it in [agent] scrape_exporters)"
            )
        elif is_empty and not problems:
            self._log_once(f"{url}: nothing is read: it shows no energy and no power of a device")

    def _samples(self, series: list[DeviceSeries], at_us: int, mono_us: int) -> list[Sample]:
        samples = []
        for together in resolve_devices("this host", self._counted(series, mono_us), self._is_same, self._log_once):
            first = together[0]
            value = _combined(together)
            if first.metric.quantity == "power":
                samples.append(Sample(self._channel(first, None), at_us, mono_us, None, value))
            else:
                samples.append(Sample(self._channel(first, self._wrap_uj(first, value, mono_us)), at_us, mono_us, value))
        return samples

    def _counted(self, series: list[DeviceSeries], mono_us: int) -> list[DeviceSeries]:
        """Without the counters of a second exporter of a group, unless it shows the same devices: then it is a witness."""
        for one in series:
            if one.metric.quantity == "energy":
                self._delivered_us[one.metric.group, one.metric.exporter] = mono_us
        oldest_us = mono_us - DELIVERY_PERIODS * self._period_us
        chosen: dict[str, str] = {}
        for (group, exporter), delivered_us in self._delivered_us.items():
            if delivered_us >= oldest_us:
                chosen.setdefault(group, exporter)
        own = {
            (one.metric.group, one.device)
            for one in series
            if one.metric.quantity == "energy" and chosen.get(one.metric.group) == one.metric.exporter
        }
        counted = []
        for one in series:
            group, exporter = one.metric.group, one.metric.exporter
            first = chosen.get(group, exporter)
            if one.metric.quantity != "energy" or not group or first == exporter:
                counted.append(one)
            elif (group, one.device) in own:
                counted.append(replace(one, is_witness=True))
            else:
                self._log_once(f"{exporter} and {first} both show this host's {group}; only {first} counts")
        return counted

    def _is_same(self, first: _Value, second: _Value) -> bool | None:
        """Whether two readings are of one register; two registers of one exposition are never within a fraction of a second."""
        if first.own == second.own:  # one exporter under two addresses, read one after the other
            tolerance_uj = MIRRORED_UJ + first.limit_uw * _TWO_READS_US // PJ_PER_UJ
            return abs(first.micro - second.micro) <= tolerance_uj
        pair = frozenset((first.own, second.own))
        if abs(first.micro - second.micro) > MIRRORED_UJ:
            self._distinct.add(pair)
        return first.micro > 1_000 * UJ_PER_J and pair not in self._distinct

    def _channel(self, series: DeviceSeries, wrap_uj: int | None) -> Channel:
        metric = series.metric
        return Channel(series.device, metric.component, series.source, wrap_uj, metric.limit_uw, period_us=self._period_us)

    def _wrap_uj(self, series: DeviceSeries, value_uj: int, mono_us: int) -> int | None:
        """Range by which a counter may be unwrapped now; None if it has none, or if the power before a fall speaks against it."""
        metric = series.metric
        if metric.wrap_uj is None:
            return None
        key = series.device, series.source
        correction = self._corrections.get(key)
        if correction is None:
            register = Register(metric.wrap_uj, metric.component, self._device_range_uj(series))
            correction = self._corrections[key] = CounterCorrection(metric.limit_uw, register)
        unexplained = correction.unexplained_falls
        correction.correct([mono_us], [value_uj])
        is_reset = correction.unexplained_falls > unexplained
        return None if is_reset or correction.register is None else correction.register.range_uj

    def _device_range_uj(self, series: DeviceSeries) -> int | None:
        """Range of the zone that a series shows, from its folder if the exporter runs on this machine."""
        zone = series.labels.get("path", "").rstrip("/").rpartition("/")[2]
        if not zone.startswith("intel-rapl") or not is_loopback_url(series.content.url):
            return None
        try:
            text = (self._sysfs / "class" / "powercap" / zone / "max_energy_range_uj").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return int(text) if text.isdigit() and 0 < len(text) < 20 and int(text) > 0 else None

    def _log_once(self, message: str) -> None:
        if message not in self._logged and len(self._logged) < MAX_MESSAGES:
            self._logged.add(message)
            self._print(message)

    def _print(self, message: str) -> None:
        print(f"footprint-agent: scrape: {printable(message)}", file=sys.stderr)

    def close(self) -> None:
        """Stop scraping."""
        self._reader.stop()


def _combined(together: list[DeviceSeries]) -> int:
    """Value of one device from its series: parts are summed, rows that repeat a board are one, and so is a second address."""
    metric = together[0].metric
    if metric.duplicates == "sum":
        return sum({one.own: one.content.micro for one in together}.values())
    if metric.is_positional:
        return int(together[0].content.micro)
    return max(one.content.micro for one in together)


def open_scraper(config: AgentConfig) -> PrometheusScraper:
    """Scraper of the exporters of a configuration, with the rows of its own table.

    Raises
    ------
    BadExporterTable
        If that table cannot be used.
    """
    if config.scrape_exporters is not None:
        add_exporters(config.scrape_exporters)
    return PrometheusScraper(config.scrape_targets, config.scrape_s, round(config.scrape_max_mb * 1e6), config.sysfs)


def authorization(target: ScrapeTarget) -> dict[str, str]:
    """Header that lets the agent in, from the files of a target, read anew each time: tokens are renewed.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    try:
        if target.token_file is not None:
            return {"Authorization": f"Bearer {read_secret(target.token_file, 'the token of an exporter')}"}
        if target.user and target.password_file is not None:
            password = read_secret(target.password_file, "the password of an exporter")
            return {"Authorization": "Basic " + base64.b64encode(f"{target.user}:{password}".encode()).decode()}
    except SecretFileError as error:
        raise ValueError(str(error)) from None
    return {}


def fetch(client: HttpClient, headers: dict[str, str] | None = None) -> str:
    """Body of the answer of an exporter.

    Raises
    ------
    OSError, http.client.HTTPException, ValueError
        If there is no answer with status 200, a longer one than the client takes, or one that is no text of metrics.
    """
    url = client.url
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    response = client.request("GET", path, headers={"Accept": "text/plain;version=0.0.4,*/*;q=0.1", **(headers or {})})
    if response.status != _OK:
        cause = (
            _CAUSES.get(response.status) if not (headers and response.status == 401) else "refuses the user or the token (401)"
        )
        if 300 <= response.status < 400:
            cause = f"answers {response.describe_status()}: name that address in [agent] scrape"
        raise ValueError(cause or f"answers {response.describe_status()}")
    if "html" in response.headers.get("Content-Type", ""):
        raise ValueError("answers a page (HTML) and no metrics: is it the path of the metrics, and does it ask to sign in?")
    text = response.body.decode("utf-8", "replace")
    return text if _is_whole(response, text) else text[: text.rfind("\n") + 1]


def _is_whole(response: Response, text: str) -> bool:
    """Whether the last line is whole: without a length, only its end tells that the connection was not cut in a number."""
    return response.has_length or text.endswith("\n")
