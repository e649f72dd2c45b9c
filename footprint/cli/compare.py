"""Comparison of two models, services, use cases or periods."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footprint.cli.exit_status import CheckFailed, Exit, UsageError
from footprint.cli.options import (
    ConfigOption,
    FormatOption,
    FromOption,
    OutputOption,
    ToOption,
    WhereOption,
    opened,
    print_lines,
    say,
)
from footprint.core.output_files import write_output
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import now_us

if TYPE_CHECKING:
    from footprint.config import Config


class Kind(StrEnum):
    """What two names of a comparison are."""

    model = "model"
    service = "service"
    use_case = "use_case"


PER_REQUEST = "request"


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Base: a model, a period FROM/TO, or the .json of a benchmark.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Compared with A.")],
    by: Annotated[Kind | None, typer.Option(help="What A and B are (default: inferred).")] = None,
    per: Annotated[
        str,
        typer.Option(metavar="UNIT", help="What the energy is divided by: request, 1000-output-tokens, or a unit such as pages."),
    ] = PER_REQUEST,
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

        if by or from_ or to or where or per != PER_REQUEST:
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
        write_output(badge, comparison.badge_svg(result))
    if markdown:
        print_lines(comparison.markdown_report(result))
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
