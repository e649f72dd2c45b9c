"""Checkpoint of the agent for a restart within one boot: meters, records not yet on disk, positions in logs.

It is written before the records of the same moment: a crash between the two leaves records that are sent twice, which is
harmless, and never an epoch without its ends. It needs no fsync: after a power failure the boot is another one, and the
meters are of no use.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from footprint.core.counter_correction import Meter
from footprint.core.samples import Channel, DevicePart, Sample

FILE_NAME = "meters.json"
LogState = dict[str, Any]  # of ``collectors.rotated_logs.RotatedLogs``
_CHANNEL_FIELDS = [field.name for field in fields(Channel) if field.name != "parts"]
_METER_FIELDS = [field.name for field in fields(Meter) if field.name not in ("last", "suspect")]


def save(
    folder: Path,
    boot: str,
    meters: Iterable[Meter],
    instances: Mapping[str, Iterable[Meter]],
    pending: list[str],
    logs: Mapping[str, LogState],
) -> None:
    """Replace the checkpoint.

    ``instances`` are the meters of the parts of partitioned boards, ``pending`` the records that may not be on disk,
    ``logs`` the state of each log pattern.

    Raises
    ------
    OSError
        If the disk cannot take it; the earlier file stays.
    """
    state = {
        "boot": boot,
        "meters": [_from_meter(meter) for meter in meters],
        "pending": pending,
        "instances": {board: [_from_meter(meter) for meter in parts] for board, parts in instances.items()},
        "logs": dict(logs),
    }
    part = folder / (FILE_NAME + ".part")
    part.write_text(json.dumps(state), encoding="utf-8")
    part.replace(folder / FILE_NAME)


def load(folder: Path, boot: str) -> tuple[list[Meter], dict[str, list[Meter]], list[str], dict[str, LogState]]:
    """Meters of this boot, meters of instances by board, records that may not be on disk, and state of logs.

    Records and logs of an earlier boot count too; its meters do not. All are empty without a readable checkpoint.
    """
    try:
        state = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        pending = [str(line) for line in state["pending"]]
        logs = {str(pattern): dict(log_state) for pattern, log_state in state["logs"].items()}
        if state["boot"] != boot:
            return [], {}, pending, logs
        meters = [_to_meter(meter_state) for meter_state in state["meters"]]
        instances = {board: [_to_meter(meter_state) for meter_state in parts] for board, parts in state["instances"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return [], {}, [], {}  # without a checkpoint the next samples open new epochs
    return meters, instances, pending, logs


def _from_meter(meter: Meter) -> dict[str, Any]:
    last, suspect = meter.last, meter.suspect
    return {
        "channel": [getattr(last.channel, name) for name in _CHANNEL_FIELDS],
        "parts": [astuple(part) for part in last.channel.parts],
        "meter": [getattr(meter, name) for name in _METER_FIELDS],
        "last": list(last[1:]),
        "doubt": list(suspect[1:]) if suspect else None,
    }


def _to_meter(state: dict[str, Any]) -> Meter:
    parts = tuple(DevicePart(*part) for part in state["parts"])
    channel = Channel(**dict(zip(_CHANNEL_FIELDS, state["channel"], strict=True)), parts=parts)
    suspect = Sample(channel, *state["doubt"]) if state["doubt"] else None
    return Meter(last=Sample(channel, *state["last"]), suspect=suspect, **dict(zip(_METER_FIELDS, state["meter"], strict=True)))
