"""Comparison of two models, services, use cases or periods, and the energy of one command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footprint.cli.exit_status import CheckFailed, Exit, SensorUnavailable, UsageError
from footprint.cli.options import ConfigOption, FormatOption, FromOption, OutputOption, ToOption, WhereOption, opened, say
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_S

if TYPE_CHECKING:
    from footprint.config import Config


class Kind(StrEnum):
    """What two names of a comparison are."""

    model = "model"
    service = "service"
    use_case = "use_case"


class Per(StrEnum):
    """Functional unit of a comparison."""

    request = "request"
    tokens = "1000-output-tokens"


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Base: a model, a period FROM/TO, or the .json of a benchmark.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Compared with A.")],
    by: Annotated[Kind | None, typer.Option(help="What A and B are (default: inferred).")] = None,
    per: Annotated[Per, typer.Option(help="What the energy is divided by.")] = Per.request,
    anyway: Annotated[bool, typer.Option("--anyway", help="Compare also where machines, method or token mix differ.")] = False,
    threshold: Annotated[
        float | None, typer.Option(min=0, help="Exit with 6 where B surely uses more than this many times A.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table for a merge request.")] = False,
    badge: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an SVG badge.")] = None,
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Energy ratio of two models, services, use cases or periods.

    Ratio of B's energy to A's with its 95 % interval, and the conditions side by side.
    """
    if all(Path(name).suffix == ".json" and Path(name).is_file() for name in (a, b)):
        from footprint.cli import bench_model

        if by or from_ or to or where or per is not Per.request:
            raise UsageError("--by, --per, --from, --to and --where apply to production, not to benchmark results")
        return bench_model.compare(
            Path(a),
            Path(b),
            anyway=anyway,
            threshold=threshold,
            markdown=markdown,
            badge=badge,
            config=config,
            form=form,
            output=output,
        )
    from footprint.figures import parse_query
    from footprint.queries import comparison

    facts, store = opened(config)
    if "/" in a and "/" in b and not by:
        queries = tuple(
            parse_query(facts.timezone, from_=text.partition("/")[0], to=text.partition("/")[2], where=where or ())
            for text in (a, b)
        )
    else:
        query = parse_query(facts.timezone, from_=from_, to=to, where=where or ())
        queries = comparison.queries_by_name(by or _kind_of(facts, a, b), a, b, query)
    result = comparison.compare(store, facts, (queries[0], queries[1]), (a, b), now_us(), per=per, anyway=anyway)
    if badge is not None:
        badge.write_text(comparison.badge_svg(result), encoding="utf-8")
    if markdown:
        print(comparison.markdown_report(result), end="")
    else:
        emit(list(comparison.COLUMNS), result.rows(), form, output)
    say(result.sentence())
    if result.differs:
        say(f"compare with care: {', '.join(result.differs)} differ")
    if threshold is not None and result.ratio.low > threshold:
        raise CheckFailed(f"{b} uses at least {result.ratio.low:.3g} x {a}, more than {threshold:g}")
    return Exit.OK


def _kind_of(facts: Config, a: str, b: str) -> str:
    """service where both are declared services, use_case where both are, else model."""
    if {a, b} <= {service.name for service in facts.services}:
        return "service"
    return "use_case" if {a, b} <= {use.name for use in facts.use_cases} else "model"


def measure(
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="Command, after --.")],
    baseline_s: Annotated[float, typer.Option(min=0, help="Time for which the idle host is read first, in seconds.")] = 2.0,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Measure the energy of one command on this host.

    By device, with its interval, and above what the host drew before.
    """
    from footprint.config import load_config
    from footprint.notebook.measurement import COLUMNS, CannotMeasure, measure_command

    try:
        measurement, status = measure_command(command, baseline_s=baseline_s)
    except CannotMeasure as why:
        raise SensorUnavailable(str(why)) from None
    emit(list(COLUMNS), measurement.rows or [], form, output)
    say(measurement.sentence())
    _say_recorded_by_agent(load_config(config), measurement.begin_us, measurement.seconds)
    if status:
        say(f"the command ended with {status}")
    return Exit.OK if status == 0 else Exit.FAILURE


def _say_recorded_by_agent(facts: Config, begin_us: int, seconds: float) -> None:
    """Say where this host's own agent recorded the same time, where a server answers."""
    import socket
    from urllib.parse import urlencode
    from urllib.request import urlopen

    host = str(facts.agent.get("host") or socket.gethostname())
    server = str(facts.agent.get("server") or f"http://{facts.bind}:{facts.port}").rstrip("/")
    try:
        with urlopen(f"{server}/healthz", timeout=1):
            pass
    except (OSError, ValueError):
        return
    since, until = (format_instant(at) for at in (begin_us, begin_us + round(seconds * US_PER_S)))
    data = urlencode({"group": "host,device", "where": f"host={host}", "from": since, "to": until})
    say(f"what this host's agent recorded: {server}/hosts?{urlencode({'name': host, 'period': 'today'})}")
    say(f"the same time, as data:        {server}/api/v1/footprint?{data}")
