"""Result tables: the rows and the coverage of a host's day as packed columns, ready to be stored."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from footprint.aggregation.host_day import HostDay
from footprint.attribution.row_columns import AMOUNTS, RESERVED_USE_CASES
from footprint.config import Config
from footprint.core.units import US_PER_S
from footprint.storage.figure_blocks import COVERAGE, ShardTables, build_shard_tables


def charter_of(config: Config, use_case: str, instant_us: int) -> str:
    """Charter status of a use case; reserved use cases stand for themselves."""
    return use_case if use_case in RESERVED_USE_CASES else config.charter_at(use_case, instant_us)


@dataclass(frozen=True, slots=True)
class SplitRecord:
    """Division of the shared energy of one service: status, and the fit with its diagnosis as JSON."""

    service: str
    status: str
    content: str


def host_day_tables(config: Config, name: str, host_day: HostDay) -> ShardTables:
    """Energy and coverage of a host's day by slot."""
    rows = host_day.result.rows
    slot_us = host_day.slots_us[rows["slot"].to_numpy()]
    use_cases, services = rows["use_case"].tolist(), rows["service"].tolist()
    lines = {key: basis.to_json() for key, basis in host_day.bases.items()}
    # Energy of a service without a basis of its own rests on that of its device.
    bases = [
        lines.get((device, service, segment)) or lines[device, "", segment]
        for device, service, segment in zip(rows["device"], services, rows["segment"].tolist(), strict=True)
    ]
    amounts = {column: rows[column].to_numpy() for column in AMOUNTS}
    energy = {
        "start_s": slot_us // US_PER_S,
        "host": [name] * len(rows),
        "device": rows["device"].tolist(),
        "service": services,
        "use_case": use_cases,
        "model": rows["model"].tolist(),
        "charter": [charter_of(config, use_case, at) for use_case, at in zip(use_cases, slot_us.tolist(), strict=True)],
        **amounts,
        "divided": ((amounts["modelled_uj"] != 0) | (amounts["spread_b_uj"] != 0)).astype(np.int64),
    }
    return build_shard_tables({"energy": energy, "coverage": _coverage(name, host_day)}, {"energy": bases})


def _coverage(name: str, host_day: HostDay) -> dict[str, list[str] | np.ndarray[tuple[int], np.dtype[np.int64]]]:
    coverage = host_day.result.coverage
    none = np.zeros(0, dtype=np.int64)
    devices = [device for (_, device), column in coverage.items() for _ in range(len(column.slot))]
    return {
        "start_s": host_day.slots_us[np.concatenate([none, *(column.slot for column in coverage.values())])] // US_PER_S,
        "host": [name] * len(devices),
        "device": devices,
        **{
            amount: np.concatenate([none, *(getattr(column, amount) for column in coverage.values())])
            for amount in COVERAGE.amounts
        },
    }


def split_records(host_day: HostDay) -> tuple[SplitRecord, ...]:
    """Splits of a host's day that hold a diagnosis or failed requests."""
    records = []
    for service, split in sorted(host_day.splits.items()):
        if split.diagnosis is None and not split.wasted and not split.doubted:
            continue
        content = {
            **(split.diagnosis.to_json() if split.diagnosis is not None else {}),
            "shares": [[*key, share, half] for key, (share, half) in sorted(split.shares.items())],
            "wasted": [[*key, part, count] for key, (part, count) in sorted(split.wasted.items())],
            **({"quarantined": split.doubted} if split.doubted else {}),
        }
        status = split.diagnosis.status if split.diagnosis is not None else ""
        records.append(SplitRecord(service, status, json.dumps(content, ensure_ascii=False, sort_keys=True)))
    return tuple(records)
