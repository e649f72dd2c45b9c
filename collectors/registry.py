"""Explicit list of the collectors; a new collector is one module and one line here."""

from __future__ import annotations

from collectors.acpi import AcpiCollector
from collectors.amd import AmdCollector
from collectors.amd_cpu import AmdCpuCollector
from collectors.base import Collector
from collectors.dram_estimate import DramCollector
from collectors.intel import IntelCollector
from collectors.ipmi import IpmiCollector
from collectors.nvml import NvmlCollector
from collectors.rapl import RaplCollector
from collectors.redfish import RedfishCollector
from collectors.tdp import TdpCollector

# In order of preference: of two sources of one grade of one device, the first that delivers counts.
COLLECTORS: tuple[type[Collector], ...] = (
    NvmlCollector,
    AmdCollector,
    IntelCollector,
    RaplCollector,
    AmdCpuCollector,
    TdpCollector,
    DramCollector,
    RedfishCollector,
    IpmiCollector,
    AcpiCollector,
)
