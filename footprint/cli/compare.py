"""This file is for engineers: how much one command takes, and how many times the energy of another thing something takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from footprint.cli.audit import WhereOption
from footprint.cli.options import (
    CheckFailed,
    ConfigOption,
    Exit,
    FormatOption,
    OutputOption,
    SensorUnavailable,
    UsageError,
    opened,
    say,
)
from footprint.cli.query import FromOption, ToOption
from footprint.config import Config, load_config
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_S


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The base: a model, FROM/TO of a period, or a benchmark's .json.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What is compared with it.")],
    by: Annotated[str, typer.Option(help="model, service or use_case.")] = "",
    per: Annotated[str, typer.Option(help="request or 1000-output-tokens.")] = "request",
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where machines, method or token mix differ.")] = False,
    threshold: Annotated[float | None, typer.Option(min=0, help="Exit 6 where B surely uses more than so many times A.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="A table for a merge request.")] = False,
    badge: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an SVG badge.")] = None,
    from_: FromOption = None,
    to: ToOption = None,
    where: WhereOption = None,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """How many times A's energy B takes, with its 95 % interval, and the conditions side by side."""
    if all(Path(each).suffix == ".json" and Path(each).is_file() for each in (a, b)):
        from footprint.cli import bench_model

        if by or from_ or to or where or per != "request":
            raise UsageError("--by, --per, --from, --to and --where are of production; two benchmarks are compared as they are")
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
        questions = tuple(
            parse_query(facts.timezone, from_=text.partition("/")[0], to=text.partition("/")[2], where=where or ())
            for text in (a, b)
        )
    else:
        question = parse_query(facts.timezone, from_=from_, to=to, where=where or ())
        questions = comparison.queries_by_name(by or _kind_of(facts, a, b), a, b, question)
    found = comparison.compare(store, facts, (questions[0], questions[1]), (a, b), now_us(), per=per, anyway=anyway)
    if badge is not None:
        badge.write_text(comparison.badge_svg(found), encoding="utf-8")
    if markdown:
        print(comparison.markdown_report(found), end="")
    else:
        emit(list(comparison.COLUMNS), found.rows(), form, output)
    say(found.sentence())
    if found.differs:
        say(f"compare with care: {', '.join(found.differs)} differ")
    if threshold is not None and found.ratio.low > threshold:
        raise CheckFailed(f"{b} uses at least {found.ratio.low:.3g} x {a}, more than {threshold:g}")
    return Exit.OK


def _kind_of(facts, a: str, b: str) -> str:  # type: ignore[no-untyped-def]
    """service where both are declared services, use_case where both are, else model."""
    if {a, b} <= {service.name for service in facts.services}:
        return "service"
    return "use_case" if {a, b} <= {use.name for use in facts.use_cases} else "model"


def measure(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command, after --.")],
    baseline_s: Annotated[float, typer.Option(min=0, help="How long to read the idle host first, in seconds.")] = 2.0,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Energy of one command on this host, now: by device, with its interval, and above what the host drew before."""
    from footprint.notebook.measurement import COLUMNS, CannotMeasure, measure_command

    try:
        found, status = measure_command(command, baseline_s=baseline_s)
    except CannotMeasure as why:
        raise SensorUnavailable(str(why)) from None
    emit(list(COLUMNS), found.rows or [], form, output)
    say(found.sentence())
    _say_where(load_config(config), found.begin_us, found.seconds)
    if status:
        say(f"the command ended with {status}")
    return Exit.OK if status == 0 else Exit.FAILURE


def _say_where(facts: Config, begin_us: int, seconds: float) -> None:
    """Where this host's own agent has recorded the same time; nothing where no server answers."""
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
    say(f"of this very stretch, as data:   {server}/api/v1/footprint?{data}")
