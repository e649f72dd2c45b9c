"""Calibration of a host on a wall meter, and its certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from footprint.cli.exit_status import CheckFailed, Exit, UsageError
from footprint.cli.options import (
    ConfigOption,
    FormatOption,
    FromOption,
    OutputOption,
    ToOption,
    bounds_of,
    opened,
    print_rows,
    say,
)
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us

if TYPE_CHECKING:
    from footprint.aggregation.calibration import Calibration
    from footprint.config import Config

MAX_REFUSED_SHARE = 0.01  # of a meter's lines
COLUMNS = ("quantity", "value", "low", "high", "u_meter", "u_repeatability", "u_load", "windows")


def calibrate(
    host: Annotated[str | None, typer.Argument(metavar="HOST", help="Host, as its readings name it.")] = None,
    meter: Annotated[
        str | None,
        typer.Option("--meter", metavar="FILE", help="Readings of the wall meter: columns time and power_w or energy_j."),
    ] = None,
    serial: Annotated[str | None, typer.Option("--serial", metavar="TEXT", help="Serial number of the meter.")] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DATE", help="From when on the certificate no longer holds.")
    ] = None,
    meter_class: Annotated[
        float,
        typer.Option("--meter-class", metavar="PERCENT", min=0.01, max=10, help="Limit of error of the meter, % of the reading."),
    ] = 1.0,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="The only device that the meter feeds: gives its gain, no uplift.")
    ] = "",
    from_: FromOption = None,
    to: ToOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare and print, and store nothing.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the certificates, of HOST or of all hosts.")] = False,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Calibrate a host on a wall meter; list the certificates.

    Compares the meter's file with the host's sensors in the ledger, and gives the uplift and the gains of sensors with their
    intervals. The result is stored as a certificate that is never changed; while it is valid it replaces the uplift that the
    configuration declares or assumes. Exits with 6 where the readings support no certificate, and says why.
    """
    facts, store = opened(config)
    if list_:
        return _print_certificates(facts, store, host, form, output)
    missing = [
        name for name, value in (("HOST", host), ("--meter", meter), ("--serial", serial), ("--expires", expires)) if not value
    ]
    if missing or host is None or meter is None or serial is None or expires is None:
        raise UsageError(f"missing: {', '.join(missing)} (or --list)")
    return _calibrate(
        facts,
        store,
        (host, meter, serial, expires),
        meter_class,
        device,
        bounds_of(facts, from_, to),
        form,
        output,
        dry_run=dry_run,
    )


def _calibrate(
    facts: Config,
    store: Any,
    named: tuple[str, str, str, str],
    meter_class: float,
    device: str,
    bounds: tuple[int | None, int | None],
    form: Format,
    output: Any,
    *,
    dry_run: bool,
) -> int:
    from footprint.aggregation.calibration import CalibrationRequest
    from footprint.aggregation.calibration import calibrate as compare
    from footprint.attribution.wall_calibration import CannotCalibrate
    from footprint.core.limits import name_fault
    from footprint.figures.query import parse_bound
    from footprint.ledger.certificates import add_certificate
    from footprint.ledger.meter_file import read_meter, rejected_lines

    host, meter_path, serial, expires = named
    if fault := name_fault(serial):
        raise UsageError(f"--serial {fault}")
    until_us, now = parse_bound("expires", expires, facts.timezone), now_us()
    assert until_us is not None
    readings = read_meter(meter_path, now)
    refused = len(readings.rejects)
    if refused:
        say(f"{meter_path}: {rejected_lines(readings.rejects)}")
    if refused > MAX_REFUSED_SHARE * (readings.samples + refused):
        raise CheckFailed(f"more than {MAX_REFUSED_SHARE:.0%} of the lines of {meter_path} were not taken; mend the file")
    request = CalibrationRequest(host, serial, until_us, meter_class, *bounds, device=device)
    try:
        calibration = compare(store, request, readings, now)
    except CannotCalibrate as reason:
        raise CheckFailed(f"no certificate for {host}: {reason}") from None
    emit(list(COLUMNS), _rows(calibration), form, output)
    _say_summary(facts, calibration)
    if dry_run:
        say("nothing was stored (--dry-run)")
        return Exit.OK
    if not add_certificate(store, calibration.certificate):
        say("this certificate is stored already; nothing changed")
        return Exit.OK
    say("certificate stored; `footprint aggregate` computes the days that it changes")
    return Exit.OK


def _rows(calibration: Calibration) -> list[dict[str, Any]]:
    from footprint.config.certificates import expanded

    rows = []
    for quantity, ratio in calibration.ratios.items():
        low, high = ratio.interval
        causes = {f"u_{name}": max(pair) for name, pair in ratio.causes.items()}
        name = quantity if quantity == "uplift" else f"gain {quantity}"
        rows.append({"quantity": name, "value": ratio.value, "low": low, "high": high, **causes, "windows": ratio.windows})
    for gain in calibration.certificate.gains:
        if gain.way == "steps":
            low, high = expanded(gain.estimate)
            unknown = dict.fromkeys(COLUMNS)
            rows.append({**unknown, "quantity": f"gain {gain.component}", "value": gain.value, "low": low, "high": high})
    return rows


def _say_summary(facts: Config, calibration: Calibration) -> None:
    certificate = calibration.certificate
    lag = (
        "the readings are too far apart to show a lag of the meter's clock, and the windows are long enough to bear one"
        if calibration.correlation is None
        else f"the meter's clock was {abs(certificate.lag_s):.1f} s {'behind' if certificate.lag_s >= 0 else 'ahead'}, which was "
        f"corrected (correlation {calibration.correlation:.3f})"
    )
    say(
        f"{certificate.windows} windows of {certificate.window_s} s, {format_instant(certificate.measured_from_us)} to "
        f"{format_instant(certificate.measured_to_us)}; load {certificate.load_low_w:.0f} to "
        f"{certificate.load_high_w:.0f} W; {lag}"
    )
    for note in calibration.notes:
        say(f"not separated: {note}")
    fact = facts.host_at(certificate.host, certificate.since_us)
    if certificate.uplift is not None:
        kind = "assumed" if fact.uplift_assumed else "declared"
        say(
            f"it replaces the {kind} uplift {fact.uplift.value:g} [{fact.uplift.low:g}, {fact.uplift.high:g}] until "
            f"{format_instant(certificate.until_us)}: what was measured and is in date wins over what was declared"
        )


def _print_certificates(facts: Config, store: Any, host: str | None, form: Format, output: Any) -> int:
    from footprint.ledger.certificates import certified_config
    from footprint.queries.certificates import COLUMNS as LISTED
    from footprint.queries.certificates import certificate_rows

    rows = certificate_rows(certified_config(store, facts).certificates, now_us(), host)
    return print_rows(list(LISTED), rows, form, output, "no certificate; `footprint calibrate HOST --meter FILE …` makes one")
