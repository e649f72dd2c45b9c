"""The table of commands: name, module, family and summary of each, so that help lists them without importing any."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One command or group; ``target`` is ``module:attribute`` under `footprint.cli`, imported when the command runs."""

    name: str
    target: str
    summary: str


# Families in the order in which a newcomer meets them; a summary fits a terminal of 100 columns.
FAMILIES: tuple[tuple[str, tuple[Command, ...]], ...] = (
    (
        "Start",
        (
            Command("init", "serve:init", "Write a commented footprint.toml."),
            Command("up", "serve:up", "Run the agent and the server on this machine."),
            Command("serve", "serve:serve", "Run the server: ingest, API, dashboard and scheduler."),
            Command("doctor", "serve:doctor", "Show what can be measured here, what cannot, and the remedy."),
            Command("measure", "measure:measure", "Measure the energy of one command on this host."),
        ),
    ),
    (
        "Data",
        (
            Command("import", "imports:app", "Import readings, requests and users; list and withdraw batches."),
            Command("maps", "maps:app", "List, show, check and propose maps that read other programs' files."),
            Command("ledger", "ledger:app", "Seal, verify, list and erase what was measured."),
            Command("factors", "factors:app", "List, show, import and compare emission factors."),
            Command("facts", "impact:facts", "List the declared facts by the time for which they hold."),
        ),
    ),
    (
        "Figures",
        (
            Command("aggregate", "query:aggregate", "Compute attribution and impact for the days that need it."),
            Command("query", "query:query", "Energy, requests and emissions by period and group."),
            Command("figures", "figures:app", "Mirror the figures of closed days as Parquet files."),
            Command("compare", "compare:compare", "Energy ratio of two models, services, use cases or periods."),
            Command("change", "quality:change", "Change of energy between two periods, with its interval."),
            Command("bench-model", "bench_model:app", "Benchmark the energy of a served model."),
            Command("hosted", "query:hosted", "Modelled consumption of hosted models (EcoLogits, quality C)."),
        ),
    ),
    (
        "Impact",
        (
            Command("scores", "impact:scores", "SCI and energy per request, with formula and boundary."),
            Command("inventory", "impact:inventory", "Lines for a greenhouse gas inventory: scopes 2 and 3."),
            Command("hourly", "impact:hourly", "Emissions with the grid intensity of each hour."),
            Command("what-if", "impact:what_if", "The same work elsewhere, later or on another model."),
            Command("sensitivity", "impact:sensitivity", "Figures under other factors and server lifetimes."),
            Command("units", "query:units", "Functional units of requests, and energy per unit."),
            Command("avoidable", "quality:avoidable", "Energy that served nobody, by cause, and who acts on it."),
            Command("export", "impact:export", "Export figures for CodeCarbon or BoAmps."),
        ),
    ),
    (
        "Quality",
        (
            Command("check", "query:check", "Check freshness, coverage, balance, sensors and objectives; exit 6 if not met."),
            Command("log-quality", "quality:log_quality", "List what was found in the logs of requests."),
            Command("balance", "quality:balance", "Compare meters with attributed energy, and wall with parts."),
            Command("coverage", "quality:coverage", "Device time expected, known, measured, estimated and missing."),
            Command("quality", "quality:quality", "What witnesses say of each sensor, and how much energy rests on it."),
            Command("uncertainty", "quality:uncertainty", "Uncertainty budget of a figure, cause by cause."),
            Command("splits", "quality:splits", "How the energy of each service was divided each day."),
            Command("sensors", "sensors:sensors", "List the sensors of hosts: verdict, witness, self-test and calibration."),
            Command("calibrate", "calibrate:calibrate", "Calibrate a host on a wall meter; list the certificates."),
            Command("unlogged", "query:unlogged", "Requests that servers counted and no gateway logged."),
            Command("methods", "impact:methods", "Formula, source and version of every figure."),
        ),
    ),
    (
        "Editions",
        (
            Command("report", "report:app", "Build, publish, compare and verify periodic editions."),
            Command("trace", "trace:trace", "Follow a published figure down to the readings."),
            Command("objectives", "objectives:objectives", "Where each budget and target stands."),
        ),
    ),
    (
        "Operations",
        (
            Command("agents", "agents:agents", "List the agents: last reading, backlog, clock and problems by host."),
            Command("token", "serve:token_app", "Add, list and revoke the tokens of agents."),
            Command("jobs", "ledger:jobs", "List the scheduler's jobs, or run one now."),
            Command("notify", "objectives:notify", "List current alerts, or send a test message."),
            Command(
                "access", "access:app", "Print the administrator's link, list accesses to unprotected figures, end sessions."
            ),
            Command("store", "store:app", "Upgrade the store of an earlier release."),
            Command("backup", "ledger:backup", "Write the whole database to one file."),
            Command("restore", "ledger:restore", "Fill an empty store from a backup."),
        ),
    ),
)
