"""Simulated organisation over five quarters at coarse resolution, with its true energies.

Counters are read every quarter of an hour, requests are hourly counts per use case, and distinct users are given per publication
cell. The energy of a request is linear in its tokens, so the true energy of every use case is known and can be compared with the
result of attribution.

Events of the period: volume grows, nights are calm and Sundays have no requests, a smaller model replaces the large one, one
service stops and another begins, some readings arrive weeks late and others are lost, one use case has three users and another
is dominated by one user. Everything follows from one seed and one end date.

There is one set of files for each release of an edition (``arrivals``), with the data that had arrived by that date, so that
editions can be published as they would have been on their release day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from footprint.calendar.periods import Period, period_at

ZONE = ZoneInfo("Europe/Paris")
S = 1_000_000
HOUR_S, DAY_S, STEP_S = 3600, 86_400, 900
QUARTERS = 5
PROVISIONAL_DAY, FINAL_DAY = 15, 60  # after the end of a quarter, the defaults of the configuration
GROWTH = 0.035  # of the volume, per month
OLD_MODEL = 1.7  # energy per token of the previous model, relative to the current one
NOISE = 0.004  # relative, of the energy of an hour
MARGIN_SHARE = 0.6  # share of the users of smaller cells that a margin counts as distinct


@dataclass(frozen=True, slots=True)
class ServiceEnergy:
    """Idle power of each device [W], energy of an uncached input token and of an output token [J]."""

    idle_w: float
    input_j: float
    output_j: float


# Values of the detailed weeks, where they follow from batching: 19 J per token is the large model at its usual concurrency. The
# token counts of USE_CASE_LOADS are the means of those weeks.
SERVICE_ENERGY = {
    "chat": ServiceEnergy(95.0, 0.23, 19.0),
    "code": ServiceEnergy(90.0, 0.026, 3.1),
    "embeddings": ServiceEnergy(55.0, 0.0053, 0.0),
    "synthese": ServiceEnergy(90.0, 0.06, 6.0),
}
CPU_W = {"demo-inf-01": 110.0, "demo-inf-02": 85.0}


@dataclass(frozen=True, slots=True)
class UseCaseLoad:
    """Load of a use case on a service: requests per working day at the end of the period, mean tokens, and users."""

    service: str
    name: str
    per_day: float
    input_tokens: int
    output_tokens: int
    users: int
    max_share: float = 0.12
    night: bool = False

    @property
    def cached_tokens(self) -> int:
        """Cached part of the input: a third."""
        return self.input_tokens // 3

    @property
    def joules(self) -> float:
        """Energy of a request above idle with the current model [J]."""
        law = SERVICE_ENERGY[self.service]
        return (self.input_tokens - self.cached_tokens) * law.input_j + self.output_tokens * law.output_j


@dataclass(frozen=True, slots=True)
class Deployment:
    """Devices of a service; ``first`` and ``last`` are quarters, counted back from the quarter that contains the end."""

    service: str
    host: str
    devices: tuple[str, ...]
    first: int = QUARTERS
    last: int = 0


DEPLOYMENTS = (
    Deployment("chat", "demo-inf-01", ("gpu:0", "gpu:1", "gpu:2", "gpu:3")),
    Deployment("code", "demo-inf-02", ("gpu:0",)),
    Deployment("synthese", "demo-inf-02", ("gpu:2",), last=4),  # stopped after the second quarter
    Deployment("embeddings", "demo-inf-02", ("gpu:2",), first=3),  # began in the third
)
USE_CASE_LOADS = (
    UseCaseLoad("chat", "recherche documentaire", 1500, 4300, 204, 180),
    UseCaseLoad("chat", "rédaction", 1400, 640, 537, 140),
    UseCaseLoad("chat", "traduction", 700, 1080, 1080, 60),
    UseCaseLoad("chat", "rapports de nuit", 60, 7040, 1410, 9, night=True),
    UseCaseLoad("chat", "contentieux", 90, 2500, 700, 3),
    UseCaseLoad("code", "aide au code", 3200, 1920, 153, 75),
    UseCaseLoad("code", "relecture", 260, 4530, 340, 14, 0.92),
    UseCaseLoad("embeddings", "indexation", 2600, 487, 0, 12),
    UseCaseLoad("synthese", "synthèse de réunions", 240, 5200, 650, 48),
    UseCaseLoad("synthese", "traduction", 120, 900, 900, 22),
)
UNUSED = ("demo-inf-02", "gpu:3", 52.0)  # host, device, watts; present since the last quarter
HOSTS = ("demo-inf-01", "demo-inf-02")


@dataclass(frozen=True, slots=True)
class Year:
    """Dates of all events, derived from the end of the coarse data [s since 1970]."""

    end_s: int

    @property
    def last(self) -> Period:
        """Quarter that contains the end."""
        return period_at(self.end_s * S, ZONE)

    @property
    def start_s(self) -> int:
        """Start of the first of the five whole quarters [s], at midnight UTC of its first day."""
        return self.begin_s(QUARTERS)

    def begin_s(self, quarters_back: int) -> int:
        """Start of a quarter [s], at the first midnight UTC in it."""
        start = self._quarter_s(quarters_back)
        return start + -start % DAY_S

    @property
    def model_changed_s(self) -> int:
        """Time at which a smaller model replaces the large one [s]: in the middle of the third quarter."""
        return self.begin_s(QUARTERS - 2) + 45 * DAY_S

    @property
    def late(self) -> tuple[tuple[int, int, int], ...]:
        """(from, to, arrival) [s] of late readings of the second host, in the second and the fourth quarter."""
        spans = []
        for back, day, days in ((4, 60, 12), (2, 50, 9)):
            begin = self.begin_s(back) + day * DAY_S
            spans.append((begin, begin + days * DAY_S, self.release_s(back, PROVISIONAL_DAY) + 5 * DAY_S))
        return tuple(spans)

    @property
    def lost(self) -> tuple[int, int]:
        """(from, to) [s] of lost readings of the second host, whose disk was full: three days of the third quarter."""
        begin = self.begin_s(3) + 40 * DAY_S
        return begin, begin + 3 * DAY_S

    @property
    def decided_s(self) -> int:
        """Time of the committee's decision on translation [s], in the fourth quarter."""
        return self.begin_s(2) + 41 * DAY_S

    def release_s(self, back: int, day: int) -> int:
        """Midnight UTC of the release day of a quarter's edition [s]."""
        return self.begin_s(back - 1) + (day - 1) * DAY_S

    @property
    def releases(self) -> tuple[tuple[int, Period], ...]:
        """(midnight of the day [s], quarter) of every release up to the end, in order."""
        releases = [
            (self.release_s(back, day), self.last.shifted(-back))
            for back in range(QUARTERS, 0, -1)
            for day in (PROVISIONAL_DAY, FINAL_DAY)
        ]
        return tuple(sorted(release for release in releases if release[0] <= self.end_s))

    @property
    def arrivals(self) -> tuple[int, ...]:
        """End of the data of each arrival [s], in order: the releases and the end."""
        return (*(at for at, _ in self.releases), self.end_s)

    def runs(self, deployment: Deployment) -> tuple[int, int]:
        """[from, to) of a service [s]; a service on a GPU of a stopped one starts an hour later."""
        begin = self.start_s if deployment.first == QUARTERS else self._quarter_s(deployment.first) + HOUR_S
        return begin, self._quarter_s(deployment.last - 1) if deployment.last else self.end_s

    def _quarter_s(self, back: int) -> int:
        """Start of a quarter in the local time zone [s]."""
        return self.last.shifted(-back).bounds_us(ZONE)[0] // S

    def date(self, instant_s: int) -> str:
        """Timestamp for the configuration."""
        return datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z")


def configuration(year: Year) -> str:
    """Blocks of footprint.toml for the past: previous model, stopped service, decisions and objectives."""
    chat = ", ".join(f'"demo-inf-01/{device}"' for device in DEPLOYMENTS[0].devices)
    changed, decided = year.date(year.model_changed_s), year.date(year.decided_s)
    stopped = year.runs(DEPLOYMENTS[2])
    blocks = [
        f'[[service]]\nname = "chat"\nmodel = "demo-70b"\ndevices = [{chat}]\nuntil = "{changed}"\n',
        f'[[service]]\nname = "chat"\nmodel = "demo-24b"\ndevices = [{chat}]\nsince = "{changed}"\n',
        (
            f'[[service]]\nname = "synthese"\nmodel = "demo-synthese"\ndevices = ["demo-inf-02/gpu:2"]\n'
            f'since = "{year.date(stopped[0])}"\nuntil = "{year.date(stopped[1])}"\n'
        ),
        f'[[use_case]]\nname = "traduction"\ncharter = "under-study"\nuntil = "{decided}"\n',
        (
            f'[[use_case]]\nname = "traduction"\ncharter = "authorised"\nsince = "{decided}"\n'
            'decided = "comité de la charte : autorisée avec le modèle demo-24b"\n'
        ),
    ]
    for name, charter in (("synthèse de réunions", "authorised"), ("contentieux", "proscribed"), ("relecture", "authorised")):
        blocks.append(f'[[use_case]]\nname = "{name}"\ncharter = "{charter}"\n')
    lost = year.lost
    for at, until, french, english, of in (
        (year.model_changed_s, 0, "chat : demo-24b remplace demo-70b", "chat: demo-24b replaces demo-70b", 'service = "chat"'),
        (stopped[1], 0, "arrêt de synthese", "synthese is stopped", 'service = "synthese"'),
        (year.runs(DEPLOYMENTS[3])[0], 0, "ouverture d’embeddings", "embeddings begins", 'service = "embeddings"'),
        (year.decided_s, 0, "la charte autorise la traduction", "the charter authorises translation", 'use_case = "traduction"'),
        (lost[0], lost[1], "disque plein : relevés perdus", "disk full: readings lost", 'host = "demo-inf-02"'),
    ):
        end = f'until = "{year.date(until)}"\n' if until else ""
        blocks.append(f'[[annotation]]\nat = "{year.date(at)}"\n{end}fr = "{french}"\nen = "{english}"\n{of}\n')
    blocks.append(OBJECTIVES.format(first=year.last.shifted(-QUARTERS), due=year.last))
    return "\n".join(blocks)


OBJECTIVES = """[[objective]]
name = "chat : énergie d’un trimestre"
metric = "energy_kwh"
service = "chat"
at_most = 3300
every = "quarter"
owner = "services numériques"

[[objective]]
name = "code : énergie d’un trimestre"
metric = "energy_kwh"
service = "code"
at_most = 400
every = "quarter"
owner = "services numériques"

[[objective]]
name = "chat : énergie par requête"
metric = "wh_per_1000_requests"
service = "chat"
baseline = "{first}"
target = -0.4
due = "{due}"
owner = "comité de la charte"
"""
DECISIONS = """# What the committee wrote, by period; no figure.
[[decision]]
period = "{period}"
date = "{date}"
fr = "Autoriser la traduction avec demo-24b, après six mois d’étude."
en = "Authorise translation with demo-24b, after six months of study."
effect_fr = "Décision prise ; l’effet se lira au trimestre suivant."
effect_en = "Decided; its effect will show in the next quarter."
"""


def decisions(year: Year) -> str:
    """Text of the decisions file of the committee."""
    return DECISIONS.format(period=period_at(year.decided_s * S, ZONE), date=year.date(year.decided_s)[:10])


def write_year(folder: Path, end_s: int, seed: int) -> Year:
    """Write the contract files of each arrival (``past-0-energy.csv``, …), the user file and the true energies."""
    year = Year(end_s - end_s % DAY_S)
    rng = np.random.default_rng(seed)
    hours = np.arange(year.start_s, year.end_s, HOUR_S)
    requests_by_use = {use: _requests(use, year, hours, rng) for use in USE_CASE_LOADS}
    _write_requests(folder, requests_by_use, year, hours)
    _write_energy(folder, requests_by_use, year, hours, rng)
    _write_truth(folder / "past-truth.csv", requests_by_use, year, hours)
    _write_users(folder / "past-users.csv", requests_by_use, hours)
    return year


Counts = np.ndarray[tuple[int], np.dtype[np.int64]]
Joules = np.ndarray[tuple[int], np.dtype[np.float64]]


def _requests(use: UseCaseLoad, year: Year, hours: Counts, rng: np.random.Generator) -> Counts:
    """Requests in each hour: by hour of the day, few on Saturdays, none on Sundays or outside the lifetime of the service.

    Counts of one become zero: they would look like a single request that ran for an hour.
    """
    deployment = next(deployment for deployment in DEPLOYMENTS if deployment.service == use.service)
    begin, end = year.runs(deployment)
    hour, day = hours // HOUR_S % 24, hours // DAY_S
    shape = (
        np.isin(hour, (0, 1, 2, 3)) / 4.0
        if use.night
        else np.where((hour >= 6) & (hour < 18), np.sin((hour - 5) / 14 * np.pi), 0.0)
    )
    shape = shape / shape[:24].sum() * np.where(day % 7 == 2, 0.1, np.where(day % 7 == 3, 0.0, 1.0))  # 1970-01-03 was a Saturday
    growth = (1 + GROWTH) ** ((hours - year.end_s) / (30.4 * DAY_S))
    daily_factor = rng.lognormal(0, 0.08, len(hours) // 24 + 1)[(hours - hours[0]) // DAY_S]
    counts = rng.poisson(use.per_day * shape * growth * daily_factor)
    counts[(hours < begin) | (hours >= end) | (counts == 1)] = 0
    return counts


def _joules(use: UseCaseLoad, year: Year, hours: Counts) -> Joules:
    """Energy of a request above idle [J], in each hour."""
    old = (use.service == "chat") & (hours < year.model_changed_s)
    return use.joules * np.where(old, OLD_MODEL, 1.0)


def _write_requests(folder: Path, requests_by_use: dict[UseCaseLoad, Counts], year: Year, hours: Counts) -> None:
    for number, (first, last) in enumerate(zip((0, *year.arrivals), year.arrivals, strict=False)):
        with (folder / f"past-{number}-requests.csv").open("w", encoding="utf-8") as out:
            out.write("start,end,service,use_case,requests,input_tokens,cached_input_tokens,output_tokens\n")
            chosen = (hours >= first) & (hours < last)
            for use, counts in requests_by_use.items():
                for at, n in zip(hours[chosen].tolist(), counts[chosen].tolist(), strict=True):
                    if n:
                        tokens = f"{n * use.input_tokens},{n * use.cached_tokens},{n * use.output_tokens}"
                        out.write(f"{at},{at + HOUR_S},{use.service},{use.name},{n},{tokens}\n")


def _write_energy(
    folder: Path, requests_by_use: dict[UseCaseLoad, Counts], year: Year, hours: Counts, rng: np.random.Generator
) -> None:
    """Write cumulative counters of every device; the last reading is a second before the end."""
    at = np.arange(year.start_s, year.end_s + 1, STEP_S)
    at[-1] -= 1
    active: dict[str, Joules] = defaultdict(lambda: np.zeros(len(hours)))
    for use, counts in requests_by_use.items():
        active[use.service] += counts * _joules(use, year, hours) * rng.normal(1, NOISE, len(hours))
    files = [(folder / f"past-{number}-energy.csv").open("w", encoding="utf-8") for number in range(len(year.arrivals))]
    for out in files:
        out.write("time,host,device,component,energy_j\n")

    def write(host: str, device: str, component: str, joules: Joules, present: tuple[int, int]) -> None:
        counter, arrival = _counter(host, at, joules, present, year)
        for t, j, number in zip(at.tolist(), counter.tolist(), arrival.tolist(), strict=True):
            if number >= 0:
                files[number].write(f"{t},{host},{device},{component},{j:.3f}\n")

    _write_devices(write, active, year, at)
    for out in files:
        out.close()


def _write_devices(
    write: Callable[[str, str, str, Joules, tuple[int, int]], None], active: dict[str, Joules], year: Year, at: Counts
) -> None:
    whole_period = int(at[0]), int(at[-1]) + 1
    for host in HOSTS:
        host_active_j = np.zeros(len(at) - 1)
        for deployment in (deployment for deployment in DEPLOYMENTS if deployment.host == host):
            active_j = np.repeat(active[deployment.service], HOUR_S // STEP_S) / (HOUR_S // STEP_S)
            host_active_j += active_j
            for device in deployment.devices:
                write(
                    host,
                    device,
                    "gpu",
                    SERVICE_ENERGY[deployment.service].idle_w * STEP_S + active_j / len(deployment.devices),
                    year.runs(deployment),
                )
        write(host, "cpu:0", "cpu", CPU_W[host] * STEP_S + 0.03 * host_active_j, whole_period)
    host, device, watts = UNUSED
    write(host, device, "gpu", np.full(len(at) - 1, watts * STEP_S), (year.begin_s(0), whole_period[1]))


def _counter(host: str, at: Counts, joules: Joules, present: tuple[int, int], year: Year) -> tuple[Joules, Counts]:
    """Counter [J] and number of its arrival at each time; arrival -1: never read.

    Counters restart after lost or late readings, so that later readings do not reveal their energy.
    """
    counter = np.concatenate([[0.0], np.cumsum(joules)])
    arrival = np.searchsorted(year.arrivals, at, side="left")
    arrival[(at < present[0]) | (at > present[1])] = -1
    if host == "demo-inf-02":
        lost = year.lost
        arrival[(at > lost[0]) & (at < lost[1])] = -1
        for end in sorted(span[1] for span in (*year.late, lost)):
            after = at >= end
            if after.any():
                counter[after] -= counter[after][0]
        for begin, end, arrival_s in year.late:
            arrival[(at > begin) & (at < end) & (arrival >= 0)] = np.searchsorted(year.arrivals, arrival_s, side="left")
    return counter, arrival


def _months(hours: Counts) -> list[Period]:
    """Local month of each hour."""
    days = {day: period_at(int(day) * DAY_S * S + 12 * HOUR_S * S, ZONE, 1) for day in np.unique(hours // DAY_S).tolist()}
    return [days[int(day)] for day in (hours // DAY_S).tolist()]


def _write_truth(path: Path, requests_by_use: dict[UseCaseLoad, Counts], year: Year, hours: Counts) -> None:
    """Write the true energy of each use case above idle, by UTC day."""
    with path.open("w", encoding="utf-8") as out:
        out.write("day_start,service,use_case,requests,active_j\n")
        days = (hours - hours[0]) // DAY_S
        for use, counts in requests_by_use.items():
            joules = np.bincount(days, counts * _joules(use, year, hours))
            for day, (n, j) in enumerate(zip(np.bincount(days, counts).tolist(), joules.tolist(), strict=True)):
                if n:
                    out.write(f"{hours[0] + day * DAY_S},{use.service},{use.name},{round(n)},{j:.0f}\n")


def _write_users(path: Path, requests_by_use: dict[UseCaseLoad, Counts], hours: Counts) -> None:
    """Write distinct users of every cell and margin by month, quarter and year; they grow with the period and margins do not add up."""
    with path.open("w", encoding="utf-8") as out:
        out.write("period,service,use_case,users,max_share,teams\n")
        for row in _cells(requests_by_use, _months(hours)):
            out.write(",".join(map(str, row)) + "\n")


def _cells(requests_by_use: dict[UseCaseLoad, Counts], months: list[Period]) -> Iterator[tuple[object, ...]]:
    uses_of_period: dict[Period, set[UseCaseLoad]] = defaultdict(set)
    number = {month: i for i, month in enumerate(sorted(set(months)))}
    of_hour = np.array([number[month] for month in months])
    for use, counts in requests_by_use.items():
        totals = np.bincount(of_hour, counts, len(number))
        for month, i in number.items():
            if totals[i]:
                for length in (1, 3, 12):
                    uses_of_period[Period(month.year, (month.month - 1) // length * length + 1, length)].add(use)
    for period in sorted(uses_of_period, key=str):
        parts = {use: _users_of(use, period) for use in sorted(uses_of_period[period], key=repr)}
        for service in (*sorted({use.service for use in parts}), ""):
            for name in (*sorted({use.name for use in parts}), ""):
                users_by_use = {use: n for use, n in parts.items() if service in ("", use.service) and name in ("", use.name)}
                if users_by_use:
                    most, weight = max(users_by_use.values()), sum(use.per_day for use in users_by_use)
                    users = round(most + MARGIN_SHARE * (sum(users_by_use.values()) - most))
                    share = max(use.max_share * use.per_day / weight for use in users_by_use)
                    yield str(period), service, name, users, round(share, 4), users // 7 + 1


def _users_of(use: UseCaseLoad, period: Period) -> int:
    """Distinct users in a period: more in a longer period, except for use cases of three users or fewer."""
    return use.users if use.users <= 3 else round(use.users * {1: 0.8, 3: 0.92, 12: 1.0}[period.length])
