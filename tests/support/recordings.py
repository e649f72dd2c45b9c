"""Conversion of recordings of real inference, which lie beside the repository, into contract files.

A matched run has GPU power every 0.1 s and a log of its batches. In the energy file each GPU is
``gpu:N`` of a host with the name of the run. In the request file each batch is a count of
``batch_size`` requests, and each phase before the first batch (tokenizer, model load) is a separate
use case. The recordings are not part of the project; tests skip without them.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

RECORDINGS = Path(__file__).resolve().parents[2] / ".." / "shared" / "recordings"
RUNS = sorted(path.parent for path in RECORDINGS.glob("matched-runs/*/run.json"))
AZURE = {"code": "AzureLLMInferenceTrace_code.csv.gz", "conversation": "AzureLLMInferenceTrace_conv.csv.gz"}

needs_runs = pytest.mark.skipif(not RUNS, reason="no recordings of matched runs beside the repository")
needs_azure = pytest.mark.skipif(
    not (RECORDINGS / "azure-llm-2023").is_dir(), reason="no recordings of the Azure traces beside the repository"
)

ENERGY_COLUMNS = ("time", "host", "device", "component", "power_w", "source")
REQUEST_COLUMNS = ("start", "end", "service", "use_case", "model", "requests", "input_tokens", "output_tokens", "id")


def write_energy(run: Path, target: Path, *, cpu: bool = False) -> Path:
    """Energy file of a run; with ``cpu`` also the power of its CPU packages if it was logged."""
    return _write(target, ENERGY_COLUMNS, _power_rows(run, cpu=cpu))


def write_requests(run: Path, target: Path, service: str = "llm") -> Path:
    """Request file of the phases and batches of a run, for one service."""
    return _write(target, REQUEST_COLUMNS, _request_rows(run, service))


def write_azure(target: Path, service: str = "azure") -> Path:
    """Request file of the arrivals of both Azure traces: two use cases of one service, without durations."""
    return _write(target, ("start", "service", "use_case", "input_tokens", "output_tokens"), _azure_rows(service))


def config_text(run: Path, service: str = "llm") -> str:
    """Configuration that assigns the GPUs of a run to a service, with uplift and PUE of 1."""
    devices = ", ".join(f'"{run.name}/gpu:{slot}"' for slot in range(gpus_of(run)))
    return (
        f'[[site]]\nname = "lab"\nzone = "FR"\npue = 1.0\n\n'
        f'[[host]]\nname = "{run.name}"\nsite = "lab"\nuplift = 1.0\n\n'
        f'[[service]]\nname = "{service}"\ndevices = [{devices}]\n'
    )


def gpus_of(run: Path) -> int:
    """Number of GPUs of a run."""
    return 1 + max(int(row["gpu_slot"]) for row in _read(run / "gpu_power.csv.gz"))


def logged_gpu_j(run: Path) -> float:
    """GPU energy [J] over the logged batches of a run, read from NVML by its authors."""
    return sum(float(row["gpu_energy_j"]) for row in _read(run / "requests.csv"))


def _power_rows(run: Path, *, cpu: bool) -> Iterator[tuple[object, ...]]:
    for row in _read(run / "gpu_power.csv.gz"):
        yield row["ts_utc"], run.name, f"gpu:{row['gpu_slot']}", "gpu", row["power_w"], "nvml-power"
    if cpu and (run / "cpu_power.csv.gz").is_file():
        for row in _read(run / "cpu_power.csv.gz"):
            for package in (0, 1):
                power_w = row[f"package{package}_w"]
                yield row["ts_utc"], run.name, f"cpu:{package}", "cpu", power_w, "hwmon-power"


def _request_rows(run: Path, service: str) -> Iterator[tuple[object, ...]]:
    for row in _read(run / "requests.csv"):
        start, duration_s = Decimal(row["ts_utc"]), Decimal(row["duration_s"])
        batch = row["phase"].startswith("start-inference")
        size = int(row["batch_size"]) if batch else 1
        input_tokens, total = int(row["input_tokens_per_seq"]), int(row["total_tokens_per_seq"])
        yield (
            start,
            round(start + duration_s, 6),
            service,
            "inference" if batch else row["phase"],
            row["model"],
            size,
            input_tokens * size,
            (total - input_tokens) * size,
            f"{run.name}/{row['phase']}",
        )


def _azure_rows(service: str) -> Iterator[tuple[object, ...]]:
    for use_case, name in AZURE.items():
        for row in _read(RECORDINGS / "azure-llm-2023" / name):
            start = row["TIMESTAMP"].replace(" ", "T") + "Z"
            yield start, service, use_case, row["ContextTokens"], row["GeneratedTokens"]


def _read(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from csv.DictReader(file)


def _write(target: Path, columns: Iterable[str], rows: Iterable[tuple[object, ...]]) -> Path:
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return target
