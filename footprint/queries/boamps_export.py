"""Export of BoAmps reports (Boavizta): one per service, the energy of its inference over the period.

Required fields of the format come from measurements. Facts that nobody declared are left out, as the format allows.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from footprint.aggregation import METHOD_VERSION
from footprint.attribution.row_columns import UNATTRIBUTED_NAME
from footprint.config import Config
from footprint.core.output_files import write_output
from footprint.core.timestamps import format_instant, parse_instant
from footprint.core.units import US_PER_S
from footprint.figures.engine import run_query
from footprint.figures.query import Query
from footprint.ledger.ledger_view import LedgerView
from footprint.storage.database import Store

FORMAT_VERSION = "1.1.0"
SPECIFICATION = "https://github.com/Boavizta/BoAmps"
# Quality letters of the format by relative error: within 10 %, within 25 %, else low.
ERROR_LIMITS = ((0.10, "high"), (0.25, "medium"))
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, SPECIFICATION)


def boamps_reports(
    store: Store, config: Config, from_us: int | None, to_us: int | None, now_us: int
) -> dict[str, dict[str, Any]]:
    """BoAmps reports by service.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.
    now_us : int
        Date of the reports [µs, UTC].

    Returns
    -------
    dict
        Report by service; ``powerConsumption`` is energy [kWh] including building and idle, as
        ``query --group service`` shows it.
    """
    rows = run_query(store, config, Query(group=("service",), from_us=from_us, to_us=to_us), now_us).rows
    with store.read() as connection:
        hardware = _components(LedgerView(store, connection), config)
    return {
        row["service"]: _report(config, row, hardware[row["service"]], now_us)
        for row in rows
        if row["service"] != UNATTRIBUTED_NAME and row["energy_kwh"] and hardware.get(row["service"])
    }


def _components(view: LedgerView, config: Config) -> dict[str, list[dict[str, Any]]]:
    """Devices on which each service was placed, by kind and model."""
    devices: dict[str, Counter[tuple[str, str]]] = {}
    for placement in config.placements:
        names = {placement.device, *(alias.device for alias in view.aliases(placement.host) if alias.name == placement.device)}
        for stream in view.streams().get(placement.host, []):
            if stream.device in names and stream.quantity in ("energy", "power"):
                devices.setdefault(placement.service, Counter())[stream.component, stream.model] += 1
                break
    return {
        service: [
            {"componentType": component, "nbComponent": number} | ({"componentName": model} if model else {})
            for (component, model), number in sorted(counted.items())
        ]
        for service, counted in devices.items()
    }


def _report(config: Config, row: dict[str, Any], components: list[dict[str, Any]], now_us: int) -> dict[str, Any]:
    start_us, end_us = parse_instant(row["period_start"]), parse_instant(row["period_end"])
    service, energy = row["service"], row["energy_kwh"]
    relative_error = max(row["energy_high_kwh"] - energy, energy - row["energy_low_kwh"]) / energy
    model = config.model_at(service, start_us)
    tokens = [
        {"dataUsage": usage, "dataType": "token", "dataQuantity": row[column]}
        for usage, column in (("input", "input_tokens"), ("output", "output_tokens"))
        if row[column] is not None
    ]
    hosts = [placement.host for placement in config.placements if placement.service == service]
    zone = config.site_at(config.host_at(hosts[0], start_us).site, start_us).zone
    intensity = None if row["co2e_location_g"] is None else row["co2e_location_g"] / energy
    return {
        "header": {
            "formatVersion": FORMAT_VERSION,
            "formatVersionSpecificationUri": SPECIFICATION,
            "reportId": str(uuid.uuid5(_NAMESPACE, f"{config.organisation}/{service}/{start_us}/{end_us}/{energy!r}")),
            "reportDatetime": _boamps_instant(now_us),
            "reportStatus": "draft" if row["status"] == "provisional" else "final",
            "publisher": ({"name": config.organisation} if config.organisation else {}) | {"confidentialityLevel": "internal"},
        },
        "task": {
            "taskStage": "inference",
            "taskFamily": "text generation",
            "nbRequest": row["requests"],
            "algorithms": [{"algorithmType": "llm"} | ({"foundationModelName": model} if model else {})],
            "dataset": tokens or [{"dataUsage": "input", "dataType": "other", "dataQuantity": row["requests"]}],
        },
        "measures": [
            {
                "measurementMethod": "footprint",
                "version": METHOD_VERSION,
                "powerConsumption": energy,
                "measurementDuration": (end_us - start_us) / US_PER_S,
                "measurementDateTime": _boamps_instant(start_us),
            }
        ],
        "infrastructure": {"infraType": "onPremise", "components": components},
        "environment": {"country": zone} | ({} if intensity is None else {"powerSourceCarbonIntensity": intensity}),
        "quality": next((name for limit, name in ERROR_LIMITS if relative_error <= limit), "low"),
    }


def _boamps_instant(instant_us: int) -> str:
    """An instant in the notation of the format; UTC, whole seconds."""
    return format_instant(instant_us - instant_us % US_PER_S).replace("T", " ").removesuffix("Z")


def write_reports(reports: dict[str, dict[str, Any]], folder: Path | None) -> Iterable[str]:
    """Write one file per report into a folder, or one line per report to standard output; yield a message for each file."""
    for service, report in reports.items():
        if folder is None:
            sys.stdout.write(json.dumps(report, ensure_ascii=False, sort_keys=True) + "\n")
            continue
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in service)
        path = folder / f"boamps-{name}.json"
        write_output(path, json.dumps(report, ensure_ascii=False, sort_keys=True, indent=2) + "\n")
        yield f"{path}: {report['measures'][0]['powerConsumption']:.6g} kWh"
