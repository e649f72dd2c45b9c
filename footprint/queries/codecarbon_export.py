"""Export of figures in the columns of CodeCarbon's ``emissions.csv``.

Same definitions: energy of GPUs, energy of all components with the PUE included, emissions = energy x intensity. Different:
CodeCarbon's ``cpu_energy`` of a process is all that its host drew while the process ran; ours is divided over all services.
"""

from __future__ import annotations

from typing import Any

from footprint.config import Config
from footprint.core.timestamps import parse_instant
from footprint.core.units import G_PER_KG, US_PER_S
from footprint.figures.engine import run_query
from footprint.figures.query import Query
from footprint.storage.database import Store

COLUMNS = (
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "water_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "on_cloud",
    "pue",
    "wue",
)


def codecarbon_rows(store: Store, config: Config, from_us: int | None, to_us: int | None, now_us: int) -> list[dict[str, Any]]:
    """One row per service, use case and day; ``project_name`` is the service, ``experiment_id`` the use case.

    ``gpu_energy`` [kWh] is that of placed accelerators, ``cpu_energy`` [kWh] that of the rest of the host including parts without
    a sensor; the building is in ``energy_consumed`` [kWh] only. Columns without a counterpart here are empty.

    Parameters
    ----------
    from_us, to_us : int or None
        Period [from, to) [µs, UTC]; None means from the first or to the last reading.
    now_us : int
        The current instant [µs, UTC].

    Returns
    -------
    list of dict
        Rows with the columns ``COLUMNS``: ``duration`` [s], ``emissions`` [kgCO2e], ``emissions_rate`` [kg/s],
        ``water_consumed`` [L].
    """
    query = Query(group=("service", "use_case"), every="day", from_us=from_us, to_us=to_us)
    rows = []
    for row in run_query(store, config, query, now_us).rows:
        if row["energy_kwh"] is None:
            continue
        seconds = (parse_instant(row["period_end"]) - parse_instant(row["period_start"])) / US_PER_S
        co2e_kg = None if row["co2e_location_g"] is None else row["co2e_location_g"] / G_PER_KG
        emission: dict[str, Any] = dict.fromkeys(COLUMNS)
        emission |= {
            "timestamp": row["period_end"],
            "project_name": row["service"],
            "experiment_id": row["use_case"],
            "run_id": f"{row['service']}/{row['use_case']}/{row['period_start']}",
            "duration": seconds,
            "emissions": co2e_kg,
            "emissions_rate": co2e_kg / seconds if co2e_kg is not None and seconds else None,
            "gpu_energy": row["accelerator_active_kwh"] + row["accelerator_idle_kwh"],
            "cpu_energy": row["host_kwh"],
            "energy_consumed": row["energy_kwh"],
            "water_consumed": row["water_l"],
            "codecarbon_version": f"footprint, method {row['method_version']}",
            "tracking_mode": "machine",
            "on_cloud": "N",
        }
        rows.append(emission)
    return rows
