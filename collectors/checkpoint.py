"""This file keeps what the agent must remember over a restart within one boot: raw counters, and records not yet on disk.

It is written before the records of the same moment: a crash between the two then leaves records that are sent twice, which
is harmless, and never an epoch without its ends. No fsync: after a power failure it is another boot, and of no use.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from footprint.core.counter_correction import Meter
from footprint.core.samples import Channel, DevicePart, Sample

NAME = "meters.json"
Places = dict[str, tuple[int, int]]  # path -> (file number, offset read up to)
_CHANNEL = [field.name for field in fields(Channel) if field.name != "parts"]
_METER = [field.name for field in fields(Meter) if field.name not in ("last", "suspect")]


def save(
    folder: Path,
    boot: str,
    meters: Iterable[Meter],
    instances: Mapping[str, Iterable[Meter]],
    pending: list[str],
    logs: Mapping[str, Places],
) -> None:
    """Replace the file; ``instances`` are the meters of the parts of partitioned boards, ``logs`` how far logs were read.

    Raises
    ------
    OSError
        If the disk cannot take it; the file before stays.
    """
    kept = {
        "boot": boot,
        "meters": [_from_meter(meter) for meter in meters],
        "pending": pending,
        "instances": {board: [_from_meter(meter) for meter in parts] for board, parts in instances.items()},
        "logs": dict(logs),
    }
    part = folder / (NAME + ".part")
    part.write_text(json.dumps(kept), encoding="utf-8")
    part.replace(folder / NAME)


def load(folder: Path, boot: str) -> tuple[list[Meter], dict[str, list[Meter]], list[str], dict[str, Places]]:
    """Meters of this boot, those of instances by board, records that may not be on disk, and how far logs were read.

    Records and logs are those of the boot before, too. There is nothing where there is nothing to go on from.
    """
    try:
        kept = json.loads((folder / NAME).read_text(encoding="utf-8"))
        pending = [str(line) for line in kept["pending"]]
        logs = {pattern: {path: (n, at) for path, (n, at) in places.items()} for pattern, places in kept["logs"].items()}
        if kept["boot"] != boot:
            return [], {}, pending, logs
        meters = [_to_meter(fields) for fields in kept["meters"]]
        instances = {board: [_to_meter(fields) for fields in parts] for board, parts in kept["instances"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [], {}, [], {}  # an unreadable memory is no memory: the next samples open new epochs
    return meters, instances, pending, logs


def _from_meter(meter: Meter) -> dict[str, Any]:
    last, doubt = meter.last, meter.suspect
    return {
        "channel": [getattr(last.channel, name) for name in _CHANNEL],
        "parts": [astuple(part) for part in last.channel.parts],
        "meter": [getattr(meter, name) for name in _METER],
        "last": list(last[1:]),
        "doubt": list(doubt[1:]) if doubt else None,
    }


def _to_meter(kept: dict[str, Any]) -> Meter:
    parts = tuple(DevicePart(*each) for each in kept["parts"])
    channel = Channel(**dict(zip(_CHANNEL, kept["channel"], strict=True)), parts=parts)
    doubt = Sample(channel, *kept["doubt"]) if kept["doubt"] else None
    return Meter(last=Sample(channel, *kept["last"]), suspect=doubt, **dict(zip(_METER, kept["meter"], strict=True)))
