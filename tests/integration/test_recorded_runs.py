"""Attribution of real recordings, if present: use cases get the energy that the authors logged, and totals are conserved."""

import csv
import gzip
import itertools
from pathlib import Path

import pytest

from footprint.ledger.importers import import_energy, import_requests
from footprint.storage.database import Store
from tests.support.contract_files import NOW_US, compute, config, query_rows

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings"
RUNS = sorted((RECORDINGS / "matched-runs").glob("*__*")) if RECORDINGS.is_dir() else []
pytestmark = pytest.mark.skipif(not RUNS, reason="the recordings are not part of the project")


def convert(run: Path, folder: Path) -> tuple[str, str, int, float, float]:
    """Convert a run to contract files; return both paths, the number of GPUs, logged energy [J] and sampled energy [J]."""
    slots: dict[str, list[tuple[float, float]]] = {}
    energy = folder / "energy.csv"
    with gzip.open(run / "gpu_power.csv.gz", "rt") as source, energy.open("w") as out:
        out.write("time,host,device,component,power_w,source\n")
        for row in csv.DictReader(source):
            out.write(f"{row['ts_utc']},node,gpu:{row['gpu_slot']},gpu,{row['power_w']},nvml-power\n")
            slots.setdefault(row["gpu_slot"], []).append((float(row["ts_utc"]), float(row["power_w"])))
    logged_j = 0.0
    with (run / "requests.csv").open() as source, (folder / "requests.csv").open("w") as out:
        out.write("start,end,service,use_case,model,requests,input_tokens,output_tokens\n")
        for row in csv.DictReader(source):
            start, n = float(row["ts_utc"]), int(float(row["batch_size"] or 1))
            input_tokens = int(float(row["input_tokens_per_seq"] or 0))
            output_tokens = int(float(row["total_tokens_per_seq"] or 0)) - input_tokens
            use_case = row["phase"].partition("-")[0] if row["phase"].startswith("start-inference") else row["phase"]
            end = start + float(row["duration_s"] or 0)
            out.write(f"{start:.6f},{end:.6f},llm,{use_case},m,{n},{input_tokens * n},{max(output_tokens, 0) * n}\n")
            logged_j += float(row["gpu_energy_j"] or 0)
    sampled_j = sum(
        (b[1] + a[1]) / 2 * (b[0] - a[0])
        for samples in slots.values()
        for a, b in itertools.pairwise(samples)
        if b[0] - a[0] <= 5
    )
    return str(energy), str(folder / "requests.csv"), len(slots), logged_j, sampled_j


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name.partition("__")[0])
def test_use_cases_add_up_to_the_energy_that_the_authors_logged(sqlite: Store, tmp_path: Path, run: Path) -> None:
    energy, requests, gpus, logged_j, sampled_j = convert(run, tmp_path)
    devices = ", ".join(f'"node/gpu:{n}"' for n in range(gpus))
    facts = config(f'[[service]]\nname = "llm"\ndevices = [{devices}]\n')
    assert not import_energy(sqlite, energy, NOW_US).rejects
    assert not import_requests(sqlite, facts, requests, NOW_US).rejects
    compute(sqlite, facts)
    rows = {row["use_case"]: row for row in query_rows(sqlite, facts, group=("use_case",))}
    joules = {name: (r["accelerator_active_kwh"] + r["accelerator_idle_kwh"]) * 3.6e6 for name, r in rows.items()}
    of_requests = sum(value for name, value in joules.items() if not name.startswith("("))
    assert of_requests == pytest.approx(logged_j, rel=0.005)
    assert sum(joules.values()) == pytest.approx(sampled_j, rel=1e-6)


def test_an_hour_of_two_production_services_adds_up(sqlite: Store, tmp_path: Path) -> None:
    rows = []
    for path in sorted((RECORDINGS / "azure-llm-2023").glob("*.csv*")):
        name = "code" if "code" in path.name.lower() else "conversation"
        opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
        with opened as source:
            for row in csv.reader(source):
                if row and row[0][:2] == "20":
                    rows.append(f"{row[0][:10]}T{row[0][11:26]}Z,chat,{name},{row[1]},{row[2]}")
    assert len(rows) == 28_185
    requests = tmp_path / "r.csv"
    requests.write_text("\n".join(["start,service,use_case,input_tokens,output_tokens", *rows]))
    hour = min(rows)[:13]
    energy = tmp_path / "e.csv"
    lines = [f"{hour}:{m:02d}:{s:02d}Z,a,gpu:0,gpu,{200 + m + s}" for m in range(60) for s in range(0, 60, 5)]
    energy.write_text("\n".join(["time,host,device,component,power_w", *lines]))
    assert import_requests(sqlite, config(), str(requests), NOW_US).accepted == 28_185
    import_energy(sqlite, str(energy), NOW_US)
    compute(sqlite, config())
    one = query_rows(sqlite, config())[0]
    parts = query_rows(sqlite, config(), group=("use_case",))
    assert one["requests"] == 28_185
    assert sum(row["energy_kwh"] or 0 for row in parts) == pytest.approx(one["energy_kwh"], rel=1e-12)
    assert {"code", "conversation"} <= {row["use_case"] for row in parts}
