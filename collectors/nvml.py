"""This file reads NVIDIA GPUs through NVML.

Requirements: the NVIDIA driver's libnvidia-ml.so.1; no root.

Metrics
-------
total energy   nvmlDeviceGetTotalEnergyConsumption, mJ since the driver was loaded (Volta and newer); source nvml-energy
power          nvmlDeviceGetPowerUsage, mW, where there is no counter; source nvml-power

A GPU is known by its UUID; its place (``gpu:0``) goes along as alias. A lost GPU, a reloaded driver
or an unsupported query gives no sample, never a zero; the library is opened again after a while.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pynvml

from collectors.base import Sample, Unavailable

UJ_PER_MJ = 1000  # NVML counts millijoules and milliwatts
REOPEN_US = 30 * 1_000_000
_UNSUPPORTED = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)


@dataclass(slots=True)
class _Gpu:
    handle: object
    uuid: str
    alias: str
    model: str
    has_counter: bool = True
    limit_uw: int = 0


class NvmlCollector:
    """Energy, or else power, of every GPU that the driver shows."""

    name = "nvml"

    def __init__(self) -> None:
        self._gpus: list[_Gpu] = []
        self._open_again_us = 0
        self._open()

    def _open(self) -> None:
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as bad:
            raise Unavailable(f"NVML: {bad} (no NVIDIA driver, or its libnvidia-ml.so.1 is not found)") from None
        self._gpus = [gpu for index in range(count) if (gpu := _describe(index)) is not None]
        if not self._gpus:
            self.close()
            raise Unavailable("NVML: no GPU that can be read")

    def collect(self, at_us: int, mono_us: int) -> Iterator[Sample]:
        """One sample a GPU; those that cannot be read now give none."""
        if not self._gpus and not self._try_again(mono_us):
            return
        failed = 0
        for gpu in self._gpus:
            try:
                yield _sample(gpu, at_us, mono_us)
            except pynvml.NVMLError:
                failed += 1
        if failed:
            # A lost GPU or a reloaded driver needs fresh handles; the others go on after a moment.
            self._gpus = [] if failed == len(self._gpus) else self._gpus
            self._open_again_us = self._open_again_us or mono_us + REOPEN_US
        if self._open_again_us and mono_us >= self._open_again_us:
            self._gpus = []

    def _try_again(self, mono_us: int) -> bool:
        if mono_us < self._open_again_us:
            return False
        self.close()
        self._open_again_us = 0
        try:
            self._open()
        except Unavailable:
            self._open_again_us = mono_us + REOPEN_US
        return bool(self._gpus)

    def close(self) -> None:
        """Leave the library."""
        self._gpus = []
        with contextlib.suppress(pynvml.NVMLError):  # it was not open
            pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _describe(index: int) -> _Gpu | None:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        gpu = _Gpu(handle, _text(pynvml.nvmlDeviceGetUUID(handle)), f"gpu:{index}", _text(pynvml.nvmlDeviceGetName(handle)))
    except pynvml.NVMLError:
        return None
    try:
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as bad:
        gpu.has_counter = bad.value not in _UNSUPPORTED
    with contextlib.suppress(pynvml.NVMLError):  # nobody says
        gpu.limit_uw = pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) * UJ_PER_MJ
    return gpu


def _sample(gpu: _Gpu, at_us: int, mono_us: int) -> Sample:
    if gpu.has_counter:
        energy_uj = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle) * UJ_PER_MJ
        return Sample(
            at_us, mono_us, gpu.uuid, "gpu", "nvml-energy", counter_uj=energy_uj, limit_uw=gpu.limit_uw,
            alias=gpu.alias, model=gpu.model,
        )  # fmt: skip
    power_uw = pynvml.nvmlDeviceGetPowerUsage(gpu.handle) * UJ_PER_MJ
    return Sample(
        at_us, mono_us, gpu.uuid, "gpu", "nvml-power", power_uw=power_uw, limit_uw=gpu.limit_uw,
        alias=gpu.alias, model=gpu.model,
    )  # fmt: skip
