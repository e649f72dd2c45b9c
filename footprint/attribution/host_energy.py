"""Energy of a host outside its accelerators, and the rows that bear it.

IT energy of a host and window is its whole-server reading where there is one, else uplift x the sum of the parts. The part that
is not an accelerator's is divided by the CPU time of the services where all of them have one, else by their accelerator energy;
without either it is ``(unattributed)``. The method is described in docs/explanation/method.md, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footprint.attribution.array_types import Floats, Ints
from footprint.attribution.largest_remainder import round_to_totals, split_integers, sum_by_group


def uncovered_energy(parts_uj: Ints, wall_uj: Ints, wall_us: Ints, window_us: Ints, uplift: Floats) -> Ints:
    """Energy that the sensors of the parts do not hold, by window.

    Parameters
    ----------
    parts_uj, wall_uj
        Energy of the parts and of the whole-server meter [µJ], shape (windows,).
    wall_us
        Time that the whole-server meter covers [µs], shape (windows,): all of a window or nothing, because windows are cut
        where it begins and ends.
    window_us
        Length of the windows [µs], shape (windows,).
    uplift
        Wall over parts of hosts without a meter, shape (windows,).

    Returns
    -------
    ndarray of int64
        Energy [µJ], shape (windows,); negative where the meter reads less than the parts.

    Examples
    --------
    >>> minute = np.array([60_000_000])
    >>> uncovered_energy(np.array([100]), np.array([0]), 0 * minute, minute, np.array([1.25])).tolist()
    [25]
    """
    metered = wall_us * 2 > window_us
    unseen = np.rint(parts_uj * (uplift - 1.0)).astype(np.int64)
    return np.where(metered, wall_uj - parts_uj, unseen)


@dataclass(frozen=True, slots=True)
class HostEnergyWeights:
    """Weights by which the remaining energy of one host is divided: parallel arrays of window, key and weight, shape (n,)."""

    window: Ints
    key: Ints
    weight: Floats


def weights_by_accelerator_energy(window: Ints, key: Ints, energy_uj: Ints) -> HostEnergyWeights:
    """Weights by accelerator energy [µJ], of placed and unplaced devices alike."""
    return HostEnergyWeights(window, key, energy_uj.astype(np.float64))


def weights_by_cpu_time(
    accelerators: HostEnergyWeights,
    service_of_key: Ints,
    cpu_us: Floats,
    rest_us: Floats,
    cpu_rows: HostEnergyWeights,
    unattributed_key: int,
) -> HostEnergyWeights:
    """Weights by CPU time, in the windows in which every service with accelerator energy has a CPU time.

    Parameters
    ----------
    accelerators
        Weights by accelerator energy on the host.
    service_of_key
        Service of each key, shape (keys,); -1 for no service.
    cpu_us
        CPU time by window and service [µs], shape (windows, services).
    rest_us
        CPU time of everything else [µs], shape (windows,).
    cpu_rows
        CPU time of services without an accelerator on this host, by window and key.
    unattributed_key
        Key that bears ``rest_us``.
    """
    windows, services = cpu_us.shape
    if not services:
        return accelerators
    service = service_of_key[accelerators.key]
    placed = service >= 0
    cell = accelerators.window[placed] * services + service[placed]
    energy = np.bincount(cell, weights=accelerators.weight[placed], minlength=windows * services)
    energy = energy.reshape(windows, services)
    known = (cpu_us.sum(axis=1) > 0) & ~((energy > 0) & (cpu_us <= 0)).any(axis=1)
    own_rows = known[accelerators.window] & placed
    service_cpu_us = cpu_us[accelerators.window, np.maximum(service, 0)]
    service_energy = energy[accelerators.window, np.maximum(service, 0)]
    scaled = service_cpu_us * accelerators.weight / np.where(service_energy > 0, service_energy, 1.0)
    known_windows = np.flatnonzero(known)
    known_cpu_rows = known[cpu_rows.window]
    return HostEnergyWeights(
        np.concatenate(
            [
                accelerators.window[~known[accelerators.window]],
                accelerators.window[own_rows],
                cpu_rows.window[known_cpu_rows],
                known_windows,
            ]
        ),
        np.concatenate(
            [
                accelerators.key[~known[accelerators.window]],
                accelerators.key[own_rows],
                cpu_rows.key[known_cpu_rows],
                np.full(len(known_windows), unattributed_key),
            ]
        ),
        np.concatenate(
            [
                accelerators.weight[~known[accelerators.window]],
                scaled[own_rows],
                cpu_rows.weight[known_cpu_rows],
                rest_us[known_windows],
            ]
        ),
    )


def split_host_energy(energy_uj: Ints, weights: HostEnergyWeights, unattributed_key: int) -> tuple[Ints, Ints, Ints]:
    """Energy of a host divided by weights.

    Parameters
    ----------
    energy_uj
        Energy by window [µJ], of any sign, shape (windows,).
    weights
        Weights of the rows; negative ones count as 0.
    unattributed_key
        Key that bears the energy of windows without any weight.

    Returns
    -------
    window, key, energy : ndarray of int64
        Parts that are not 0 [µJ], shape (n,); they sum to ``energy_uj`` in each window.
    """
    weight = np.maximum(weights.weight, 0.0)
    has_weight = np.bincount(weights.window, weights=weight, minlength=len(energy_uj)) > 0
    unweighted = np.flatnonzero(~has_weight)
    usable = has_weight[weights.window] & (weight > 0)
    window = np.concatenate([weights.window[usable], unweighted])
    key = np.concatenate([weights.key[usable], np.full(len(unweighted), unattributed_key)])
    weight = np.concatenate([weight[usable], np.ones(len(unweighted))])
    keys = int(key.max(initial=0)) + 1
    pair, pair_index = np.unique(window * keys + key, return_inverse=True)
    parts = split_integers(energy_uj, np.bincount(pair_index, weights=weight).astype(np.float64), pair // keys)
    not_zero = parts != 0
    return pair[not_zero] // keys, pair[not_zero] % keys, parts[not_zero]


def facility_energy(it_uj: Ints, window: Ints, pue: Floats) -> Ints:
    """Facility energy (PUE - 1) x IT energy of rows.

    Parameters
    ----------
    it_uj, window
        IT energy [µJ] and window of each row, shape (n,).
    pue
        Power usage effectiveness by window, shape (windows,).

    Returns
    -------
    ndarray of int64
        Energy [µJ], shape (n,); it sums in each window to the rounded facility energy of the window.

    References
    ----------
    ISO/IEC 30134-2:2016, Power usage effectiveness (PUE = facility energy / IT energy).

    Examples
    --------
    >>> facility_energy(np.array([60, 40]), np.array([0, 0]), np.array([1.5])).tolist()
    [30, 20]
    """
    total_uj = np.rint(sum_by_group(it_uj, window, len(pue)) * (pue - 1.0)).astype(np.int64)
    return round_to_totals(it_uj * (pue[window] - 1.0), total_uj, window)
