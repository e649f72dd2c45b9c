"""Demonstration (`make demo`): create a simulated organisation in ./footprint-demo and serve it, marked as simulated.

The organisation has three hosts, six services and seven use cases over three weeks. The simulated servers (server.py) have a
known true energy per request, so ``truth.csv`` beside the store checks what the pages show. The third host runs trials of three
models for a use case that a fourth model answers elsewhere, to have something to compare. Five quarters of coarse data (year.py)
precede these weeks, each with its published editions. They are imported batch by batch while the pages are already served, and
each edition is published from the data that had arrived by its release day.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from footprint.aggregation.aggregate import aggregate
from footprint.benchmark.result_store import write_result
from footprint.config import Config, load_config
from footprint.core.units import US_PER_S
from footprint.editions.publication import publish_edition
from footprint.editions.release_calendar import release_us
from footprint.editions.repository import published_editions
from footprint.ledger.factor_store import load_factor_book
from footprint.ledger.importers import import_energy, import_requests, import_users
from footprint.storage.database import Store
from tests.simulation.closed_loop import MACHINE, MeasurementErrors, ServedModel, run_benchmark
from tests.simulation.server import DAY_S, LARGE, SMALL, Day, Kind, Server, counters_j, simulate
from tests.simulation.year import DEPLOYMENTS, FINAL_DAY, PROVISIONAL_DAY, QUARTERS, Year, configuration, decisions, write_year

FOLDER = Path("footprint-demo")
STEP_S, STEP_WITH_PAST_S = 20, 60
DAYS = 21
FOOTPRINT = [sys.executable, "-c", "from footprint.cli import main; main()"]
WEEK_END_S = 1_782_691_200  # 2026-06-29T00:00:00Z
PAST_UNTIL_FILE = "past-until"  # file in the folder: end of the past [s since 1970]
PAST_COMPLETE_FILE = "past-complete"  # file in the folder that exists once the past is imported
PARENT_CHECK_S = 0.5
SILENT_HOST_SPAN = 9, 30_000  # silence of one host: its start [days before the end] and length [s]
CONFIG = """[organisation]
name = "Office de démonstration"
timezone = "Europe/Paris"
zone = "FR"
demo = true

[editions]
producer = "Direction des services numériques (démonstration)"
contact = "footprint@example.org"

[[site]]
name = "demo-1"
pue = 1.32

[[host]]
name = "demo-inf-01"
site = "demo-1"
uplift = 1.22

[[host]]
name = "demo-inf-02"
site = "demo-1"
uplift = 1.22

[[host]]
name = "demo-inf-03"
site = "demo-1"
uplift = 1.22

[[service]]
name = "chat"
model = "demo-24b"
devices = ["demo-inf-01/gpu:0", "demo-inf-01/gpu:1", "demo-inf-01/gpu:2", "demo-inf-01/gpu:3"]

[[service]]
name = "code"
model = "demo-8b-code"
devices = ["demo-inf-02/gpu:0"]

[[service]]
name = "embeddings"
model = "demo-embed"
devices = ["demo-inf-02/gpu:2"]

[[service]]
name = "essai-24b-fp8"
model = "demo-24b-fp8"
devices = ["demo-inf-03/gpu:0"]

[[service]]
name = "essai-12b"
model = "demo-12b"
devices = ["demo-inf-03/gpu:1"]

[[service]]
name = "essai-8b"
model = "demo-8b"
devices = ["demo-inf-03/gpu:2"]

[[evaluation]]
model = "demo-24b"
use_case = "traduction"
score = [0.84, 0.87, 0.90]
answers = 200
source = "simulated blind test"
[[evaluation]]
model = "demo-24b-fp8"
use_case = "traduction"
score = [0.83, 0.86, 0.89]
answers = 200
source = "simulated blind test"
[[evaluation]]
model = "demo-12b"
use_case = "traduction"
score = [0.75, 0.79, 0.83]
answers = 200
source = "simulated blind test"
[[evaluation]]
model = "demo-8b"
use_case = "traduction"
score = [0.66, 0.70, 0.74]
answers = 200
source = "simulated blind test"

[[action]]
cause = "empty hours, nights and weekends"
service = "embeddings"
owner = "exploitation"
status = "under-way"
since = "2026-09-01"
text = "éteindre de 20 h à 7 h"
[[action]]
cause = "failed requests"
service = "chat"
owner = "passerelle"
status = "open"

[[use_case]]
name = "aide au code"
charter = "authorised"
[[use_case]]
name = "recherche documentaire"
charter = "recommended"
[[use_case]]
name = "rédaction"
charter = "authorised"
[[use_case]]
name = "traduction"
charter = "under-study"
[[use_case]]
name = "rapports de nuit"
charter = "authorised"
[[use_case]]
name = "indexation"
charter = "recommended"
"""
TRIAL_KINDS = (Kind("traduction", 320, 900, 900, 0.6),)  # the texts of "chat", answered by another model
# Service -> host, first GPU, simulated server with its kinds of requests.
SERVICES: dict[str, tuple[str, int, Server]] = {
    "chat": (
        "demo-inf-01",
        0,
        replace(
            LARGE,
            kinds=(
                Kind("recherche documentaire", 1500, 3800, 180, 0.5),
                Kind("rédaction", 1400, 500, 420),
                Kind("traduction", 700, 900, 900, 0.6),
                Kind("rapports de nuit", 60, 6500, 1300, 0.4, "night"),
            ),
        ),
    ),
    "code": (
        "demo-inf-02",
        0,
        replace(SMALL, kinds=(Kind("aide au code", 3200, 1500, 120, 0.7, cached=0.5), Kind("relecture", 260, 4000, 300, 0.5))),
    ),
    "embeddings": (
        "demo-inf-02",
        2,
        replace(SMALL, idle_w=55.0, prefill_j=0.004, kinds=(Kind("indexation", 2600, 450, 0, 0.4, "bursts"),)),
    ),
    "essai-24b-fp8": ("demo-inf-03", 0, replace(LARGE, devices=1, step_s=0.03, step_j=10.5, token_j=0.25, kinds=TRIAL_KINDS)),
    "essai-12b": ("demo-inf-03", 1, replace(SMALL, step_s=0.018, step_j=7.0, token_j=0.13, prefill_j=0.05, kinds=TRIAL_KINDS)),
    "essai-8b": ("demo-inf-03", 2, replace(SMALL, kinds=TRIAL_KINDS)),
}


def write_organisation(folder: Path, end_s: int, seed: int, days: int = DAYS, step_s: int = STEP_S) -> None:
    """Write contract files of the ``days`` before ``end_s``, with GPU readings every ``step_s``, and the true energies."""
    rng = np.random.default_rng(seed)
    first = end_s - end_s % DAY_S - days * DAY_S  # days begin at midnight, and the last one is cut at ``end_s``
    silent = end_s - SILENT_HOST_SPAN[0] * DAY_S
    with (
        (folder / "requests.csv").open("w", encoding="utf-8") as requests,
        (folder / "energy.csv").open("w", encoding="utf-8") as energy,
        (folder / "truth.csv").open("w", encoding="utf-8") as truth,
    ):
        requests.write("start,end,service,use_case,requests,input_tokens,cached_input_tokens,output_tokens,status\n")
        energy.write("time,host,device,component,energy_j\n")
        truth.write("day_start,service,use_case,active_j\n")
        for service, (host, gpu, law) in SERVICES.items():
            level = np.zeros(law.devices)
            for number in range(days + 1):
                begin = first + number * DAY_S
                weekend = time.gmtime(begin + DAY_S // 2).tm_wday >= 5
                kinds = tuple(replace(kind, per_day=kind.per_day * (0.06 if weekend else 1.0)) for kind in law.kinds)
                day = simulate(replace(law, kinds=kinds), seed * 1000 + number)
                _write_requests(requests, day, service, begin, end_s, rng)
                level = _write_energy(
                    energy, day, host, gpu, begin, end_s, level, seed, (silent, silent + SILENT_HOST_SPAN[1]), step_s
                )
                for kind, joules in zip(law.kinds, np.bincount(day.use_case, day.true_j, len(kinds)), strict=True):
                    truth.write(f"{begin},{service},{kind.name},{joules:.3f}\n")
        _write_others(energy, first, end_s, rng)


def _write_requests(out, day: Day, service: str, begin: int, end_s: int, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    statuses = rng.choice(["ok", "error", "cancelled"], len(day.start_s), p=[0.965, 0.02, 0.015])
    for i in range(len(day.start_s)):
        if begin + day.end_s[i] >= end_s:
            continue
        out.write(
            f"{begin + day.start_s[i]:.3f},{begin + day.end_s[i]:.3f},{service},{day.server.kinds[day.use_case[i]].name},1,"
            f"{day.input_tokens[i]},{day.cached_tokens[i]},{day.output_tokens[i]},{statuses[i]}\n"
        )


def _write_energy(  # type: ignore[no-untyped-def]
    out, day: Day, host: str, gpu: int, begin: int, end_s: int, level, seed: int, silent_span: tuple[int, int], step_s: int
):
    """Write GPU counters, which continue from day to day and, unread, while the host is silent; return the final levels [J]."""
    counters = counters_j(day, seed)
    for device in range(day.server.devices):
        for second in range(0, DAY_S, step_s):
            at = begin + second
            if at > end_s or (host == "demo-inf-02" and silent_span[0] < at < silent_span[1]):
                continue
            out.write(f"{at},{host},gpu:{gpu + device},gpu,{level[device] + counters[device, second]:.3f}\n")
    return level + counters[:, -1]


def _write_others(out, first: int, end_s: int, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    """Write the counters of an unused GPU and of the CPUs."""
    for host, device, component, watts in (
        ("demo-inf-02", "gpu:3", "gpu", 52.0),
        ("demo-inf-01", "cpu:0", "cpu", 110.0),
        ("demo-inf-02", "cpu:0", "cpu", 85.0),
        ("demo-inf-03", "cpu:0", "cpu", 80.0),
    ):
        joules = 0.0
        for at in range(first, end_s, 60):
            out.write(f"{at},{host},{device},{component},{joules:.3f}\n")
            joules += 60 * (watts + rng.normal(0, 2))


def prepare_store(
    folder: Path, *, end_s: int, days: int = DAYS, seed: int = 2026, quiet: bool = False, past: bool = False
) -> Path:
    """Create the store of the simulated organisation in ``folder`` unless it exists; return its configuration file.

    ``past`` also writes the files of the five quarters before, which ``import_past`` imports.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config, stderr = folder / "footprint.toml", subprocess.DEVNULL if quiet else None
    if (folder / "footprint.db").exists():
        return config
    weeks_s = end_s - end_s % DAY_S - days * DAY_S
    config.write_text(CONFIG, encoding="utf-8")
    environ = dict(os.environ)
    if past:
        year = write_year(folder, weeks_s, seed)
        config.write_text(config_with_past(year, weeks_s), encoding="utf-8")
        (folder / "decisions.toml").write_text(decisions(year), encoding="utf-8")
        (folder / PAST_UNTIL_FILE).write_text(str(weeks_s), encoding="utf-8")
        environ["FOOTPRINT_FLEET__WORKERS"] = str(min(os.cpu_count() or 1, len({host for host, _, _ in SERVICES.values()})))
    write_organisation(folder, end_s, seed, days, STEP_WITH_PAST_S if past else STEP_S)
    results = [str(path) for path in write_benchmarks(folder / "benchmarks", end_s, seed)]
    files = [["import", kind, str(folder / f"{kind}.csv")] for kind in ("energy", "requests")]
    for command in (*files, ["aggregate"], ["bench-model", "import", *results]):
        subprocess.run(
            [*FOOTPRINT, *command, "--config", str(config)], check=True, stdout=subprocess.DEVNULL, stderr=stderr, env=environ
        )
    return config


def import_past(folder: Path) -> None:
    """Import the quarters before, batch by batch, and publish each edition on its release day; resume where a run stopped."""
    if (folder / PAST_COMPLETE_FILE).exists():
        return
    config, year = load_config(str(folder / "footprint.toml")), Year(int((folder / PAST_UNTIL_FILE).read_text(encoding="utf-8")))
    store = Store(config.store_url, demo=config.demo)
    try:
        now_us = int(time.time()) * US_PER_S
        import_users(store, str(folder / "past-users.csv"), now_us)
        for number, at_s in enumerate(year.arrivals):
            import_energy(store, str(folder / f"past-{number}-energy.csv"), now_us)
            import_requests(store, config, str(folder / f"past-{number}-requests.csv"), now_us)
            last = at_s == year.end_s
            with store.exclusive_lock("aggregate", wait=True):
                # The detailed weeks follow the last batch: their days are computed once the past is complete.
                aggregate(store, config, load_factor_book(store), now_us, None, None if last else at_s * US_PER_S)
            _publish_due_editions(store, config, year, at_s)
        (folder / PAST_COMPLETE_FILE).touch()
    finally:
        store.close()


def _publish_due_editions(store: Store, config: Config, year: Year, at_s: int) -> None:
    """Publish the provisional and final editions whose release falls on ``at_s``."""
    published = {(edition.period, edition.version) for edition in published_editions(store)}
    for back in range(1, QUARTERS + 1):
        period = year.last.shifted(-back)
        for version, day in ((1, PROVISIONAL_DAY), (2, FINAL_DAY)):
            if year.release_s(back, day) == at_s and (str(period), version) not in published:
                publish_edition(store, config, str(period), release_us(config, period, day), final=version == 2)
                print(f"demonstration: {period}, version {version}, is published; see /editions", file=sys.stderr, flush=True)


def config_with_past(year: Year, weeks_s: int) -> str:
    """Configuration that also covers the past: the previous model, services that came and went, and start dates of trials."""
    text = CONFIG.replace("[editions]\n", '[editions]\ndecisions = "decisions.toml"\n')
    # Attribution windows as long as the interval of the coarse readings: shorter ones would add no information.
    text = text.replace("[[site]]", "[attribution]\nwindow_s = 900\n\n[[site]]", 1)
    text = text.replace("uplift = 1.22\n", "uplift = 1.22\nembodied = { server_kgco2e = 3900, lifetime_years = 5 }\n")
    for header in ('[[service]]\nname = "chat"\n', '[[use_case]]\nname = "traduction"\n'):  # the past declares these itself
        block = text.index(header)
        text = text[:block] + text[text.index(header[: header.index("]]") + 2], block + 1) :]
    for service, begin in [(name, weeks_s) for name in SERVICES if name.startswith("essai")] + [
        ("embeddings", year.runs(DEPLOYMENTS[3])[0])
    ]:
        text = text.replace(f'name = "{service}"\n', f'name = "{service}"\nsince = "{year.date(begin)}"\n', 1)
    return text + "\n" + configuration(year)


def write_benchmarks(folder: Path, end_s: int, seed: int) -> list[Path]:
    """Write benchmark results of the trial models, run in virtual time against their simulated servers."""
    folder.mkdir(exist_ok=True)
    machine = MACHINE | {"host": "demo-inf-03", "engine": "simulated"}
    paths = []
    for service, score in (("essai-24b-fp8", 0.86), ("essai-12b", 0.79), ("essai-8b", 0.70)):
        law, name = SERVICES[service][2], service.replace("essai", "demo")
        # A step of the benchmark includes idle power over its time; the simulated server counts it separately.
        model = ServedModel(
            name, law.step_j + law.idle_w * law.step_s, law.token_j, law.step_s, 250, idle_w=law.idle_w, score=score
        )
        result = run_benchmark(
            model,
            MeasurementErrors(),
            seed + len(paths),
            levels=(1, 2, 4, 8, 16, 32),
            repeats=3,
            begin_s=end_s - 5 * DAY_S,
            machine=machine,
            demonstration=True,
        )
        paths.append(folder / f"{name}.json")
        write_result(paths[-1], result)
    return paths


def simulated_week(folder: Path = Path("simulated")) -> str:
    """Configuration file of a simulated week, 22 to 28 June 2026, for notebooks; created unless it exists."""
    return str(prepare_store(folder, end_s=WEEK_END_S, days=7, quiet=True))


def main() -> int:
    """Create the demonstration unless it exists, and serve it; another process imports the past meanwhile."""
    parser = argparse.ArgumentParser(description="A simulated organisation.")
    parser.add_argument("--port", type=int, default=8051)
    parser.add_argument("--prepare-only", action="store_true")
    parser.add_argument("--past-only", action="store_true")
    args = parser.parse_args()
    if args.past_only:
        threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
        import_past(FOLDER)
        print("demonstration: five quarters and their editions are in; see /editions", file=sys.stderr)
        return 0
    os.environ["FOOTPRINT_SERVER__PORT"] = str(args.port)  # so that commands print the right address
    os.environ.setdefault("FOOTPRINT_ACCESS__MODE", "open")  # simulated figures are no secret of anybody
    if not (FOLDER / "footprint.db").exists():
        print("simulating three weeks of an organisation (about a minute) …", file=sys.stderr)
    config = prepare_store(FOLDER, end_s=int(time.time()) // 3600 * 3600, past=True)
    if args.prepare_only:
        return 0
    if not (FOLDER / PAST_COMPLETE_FILE).exists():
        print("five quarters before them, with their editions, come in while you look (some minutes) …", file=sys.stderr)
        subprocess.Popen([sys.executable, "-m", "tests.simulation.demo", "--past-only"], start_new_session=True)
    # No data arrives except the past, which its own process computes.
    os.execv(FOOTPRINT[0], [*FOOTPRINT, "serve", "--no-scheduler", "--config", str(config)])
    return None


def _exit_with_parent(parent: int) -> None:
    """Kill this process, which has its own session, when the server exits; the next run resumes the import."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
