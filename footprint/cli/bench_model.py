"""Benchmarks of served models: run the protocol against an endpoint, show, compare and import results."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from footprint.cli.exit_status import CheckFailed, Exit, SensorUnavailable, UsageError
from footprint.cli.groups import command_group
from footprint.cli.options import ConfigOption, FormatOption, OutputOption, opened, print_lines, say
from footprint.core.output_files import write_output
from footprint.core.table_output import Format, emit

if TYPE_CHECKING:
    from footprint.config import Config


class _UrlFirst(typer.core.TyperGroup):
    """``bench-model URL`` is ``bench-model run URL``: a word that is no command of the group is an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


_HELP = """Benchmark the energy of a served model.

\b
footprint bench-model http://127.0.0.1:8000 --prompts mine.jsonl   all of it, about an hour
footprint bench-model http://127.0.0.1:8000 --concurrency 1,8,32 --repeats 3 --least-s 20 --least-updates 0   a look
footprint bench-model compare a.json b.json                        is B better than A?
footprint bench-model import a.json                                beside production
"""
app = command_group(_HELP, cls=_UrlFirst)
PublicKeyOption = Annotated[str, typer.Option("--public-key", help="minisign key that checks the signature.")]


@app.command("run")
def run(
    url: Annotated[str, typer.Argument(metavar="URL", help="OpenAI-compatible API, such as http://127.0.0.1:8000/v1.")],
    model: Annotated[str, typer.Option(help="Name as served; default: the one that the endpoint names.")] = "",
    prompts: Annotated[Path | None, typer.Option(metavar="FILE", help="JSON Lines; default: a small shipped set.")] = None,
    concurrency: Annotated[str, typer.Option(help="Requests in flight, by comma.")] = "1,2,4,8,16,32,64",
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    least_s: Annotated[float, typer.Option(min=1, help="Minimum steady state of a point, in seconds.")] = 60,
    least_updates: Annotated[
        int | None,
        typer.Option(min=0, help="Minimum updates of the energy counter in a point; default 600, with --host one a second."),
    ] = None,
    rest_s: Annotated[float, typer.Option(min=1, help="Time for which the loaded model is measured at rest, in seconds.")] = 20,
    warm_up_s: Annotated[float, typer.Option(min=0, help="Load before the first point, discarded, in seconds.")] = 10,
    max_tokens: Annotated[int, typer.Option(min=1)] = 512,
    temperature: Annotated[float, typer.Option(min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the order of points and prompts.")] = 1,
    device: Annotated[list[str] | None, typer.Option(help="Count only this device, such as gpu:0; may be repeated.")] = None,
    host: Annotated[str, typer.Option(help="Host of the model: energy from its agent's readings in the ledger.")] = "",
    grader: Annotated[str, typer.Option(help="Command, or module:function, that scores answers.")] = "",
    key_file: Annotated[Path | None, typer.Option(metavar="FILE", help="File with the endpoint's key.")] = None,
    engine: Annotated[str, typer.Option(help="Engine, such as 'vllm 0.11'; default: as the endpoint states.")] = "",
    quantisation: Annotated[str, typer.Option(help="Quantisation, such as fp8.")] = "",
    timeout_s: Annotated[float, typer.Option(min=1, help="Time-out of one answer, in seconds.")] = 600,
    allow_estimate: Annotated[
        bool, typer.Option("--allow-estimate", help="Accept an estimate where no sensor measures: quality C.")
    ] = False,
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Default benchmark-MODEL.json.")] = None,
) -> int:
    """Run the benchmark: sweep the concurrency in steady state, in random order.

    The same command continues where it was stopped.
    """
    import asyncio

    from footprint.benchmark import design, openai_client, result_store, runner
    from footprint.benchmark.prompts import RECOMMENDED_PROMPTS, read_prompts
    from footprint.config import load_config
    from footprint.notebook.measurement import CannotMeasure

    facts, store = opened(config) if host else (load_config(config), None)
    prompt_set = read_prompts(prompts)
    updates = least_updates if least_updates is not None else int(least_s) if host else design.MIN_UPDATES
    key = _key(key_file)
    try:
        name = model or asyncio.run(_only_model(url, key))
        target = openai_client.Target(url, name, max_tokens, temperature, key, timeout_s)
        path = output or Path(f"benchmark-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.json")
        if path.exists():
            raise UsageError(f"{path} exists and is left as it is; name another --output")
        plan = runner.BenchmarkPlan(
            target,
            prompt_set,
            _levels(concurrency),
            repeats,
            seed,
            least_s,
            updates,
            warm_up_s,
            rest_s=rest_s,
            grader=grader,
            engine=engine,
            quantisation=quantisation,
            demonstration=facts.demo,
        )
        if len(prompt_set.lines) < RECOMMENDED_PROMPTS:
            say(f"{len(prompt_set.lines)} prompts; the protocol asks for {RECOMMENDED_PROMPTS:,} of your use case (--prompts)")
        result = _measured(plan, _source(facts, store, host, device or (), allow_estimate), path)
    except (openai_client.EndpointUnavailable, CannotMeasure) as why:
        raise SensorUnavailable(str(why)) from None
    sha256 = result_store.write_result(path, result, facts.signing_key)
    shutil.rmtree(_folder(path))
    _show(result, form)
    signed = f" and {result_store.signature_path(path).name}" if facts.signing_key else ", not signed ([store] signing_key)"
    say(f"{path} written{signed}; sha256 {sha256}")
    say(f"footprint bench-model import {path}   shows it beside production, at http://{facts.bind}:{facts.port}/efficiency")
    return Exit.OK


def _measured(plan: Any, source: Any, path: Path) -> Any:
    """Run with a progress bar; one Ctrl-C keeps the finished points on disk, a second one stops at once."""
    import asyncio

    from footprint.benchmark.runner import run_benchmark
    from footprint.cli.progress import Progress

    progress = Progress("Benchmarking")
    try:
        return asyncio.run(run_benchmark(plan, source, _folder(path), progress))
    except KeyboardInterrupt:
        progress.close()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        done = len(list(_folder(path).glob("r*-c*.json")))
        say(f"stopped; {done} of {len(plan.slots())} points are kept in {_folder(path)}, the same command continues")
        raise
    finally:
        progress.close()


def _folder(path: Path) -> Path:
    return path.with_name(path.name + ".points")


async def _only_model(url: str, key: str) -> str:
    from footprint.benchmark import openai_client

    async with openai_client.http_client(openai_client.Target(url, "", 1, 0, key), 1) as client:
        models, _ = await openai_client.served_models(client, url)
    if len(models) != 1:
        raise UsageError(f"{url} serves {', '.join(models) or 'no model that it names'}; name one with --model")
    return models[0]


def _levels(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"--concurrency {text!r}: whole numbers above 0, such as 1,8,64")
    return tuple(sorted({int(part) for part in parts}))


def _key(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as bad:
        raise UsageError(f"--key-file {path}: {bad.strerror}") from None


def _source(facts: Config, store: Any, host: str, devices: Any, allow_estimate: bool) -> Any:
    from footprint.benchmark.energy_source import LocalEnergySource, driver_version
    from footprint.benchmark.ledger_energy_source import LedgerEnergySource

    if host:
        return LedgerEnergySource(store, host, tuple(devices))
    version = Path(os.environ.get("FOOTPRINT_PROC", "/proc")) / "driver/nvidia/version"
    driver = driver_version(version.read_text(encoding="utf-8")) if version.is_file() else ""
    return LocalEnergySource(str(facts.agent.get("host") or socket.gethostname()), tuple(devices), driver, allow_estimate)


def _show(result: Any, form: Format, output: Path | None = None) -> None:
    from footprint.benchmark.concurrency_levels import fit_result, idle_power
    from footprint.benchmark.result_rows import COLUMNS, rows_of_result

    rows = rows_of_result(result)
    columns = COLUMNS
    if form is Format.table:
        columns = (
            "concurrency",
            "repeats",
            "batch",
            "j_per_request",
            "j_per_request_low",
            "j_per_request_high",
            "j_per_output_token",
            "tokens_per_s",
            "ttft_p50_s",
            "ttft_p95_s",
            "itl_p50_s",
            "itl_p95_s",
            "waited",
            "failed",
            "quality",
        )
    emit(list(columns), rows, form, output)
    fitted = fit_result(result)
    if fitted is None:
        say("no a + b/batch: at least three concurrencies are needed at which requests do not wait")
    else:
        a, b = fitted.a_j, fitted.b_j
        a_text, b_text = (f"{term.value:.3g} [{term.low:.3g} ; {term.high:.3g}]" for term in (a, b))
        formula = f"J per output token = {a_text} + {b_text} / batch"
        say(f"{formula}, for a batch of {fitted.batch_low:.3g} to {fitted.batch_high:.3g}; mean error {fitted.mean_error:.1%}")
    idle = idle_power(result)
    if idle is not None:
        say(f"the loaded model at rest: {idle.value:.3g} W [{idle.low:.3g} ; {idle.high:.3g}]")
    busy = max(point.steady.client_busy for point in result.served())
    if busy > 4 / 5:
        say(f"this client took {busy:.0%} of a core: latencies may be its own, not the server's")


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="RESULT.json")],
    public_key: PublicKeyOption = "",
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Show one result by concurrency, with the coefficients a and b."""
    from footprint.benchmark.result_store import read_result
    from footprint.config import load_config

    stored = _read_verified(file, public_key, load_config(config).signing_key, read_result)
    _show(stored.result, form, output)
    say(f"{stored.result.conditions.model}, {stored.result.program}; signature {stored.signature}; sha256 {stored.sha256}")
    return Exit.OK


@app.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="Base.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="Result compared with A.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Compare also where conditions differ.")] = False,
    threshold: Annotated[
        float | None, typer.Option(min=0, help="Exit with 6 where B surely takes more than this many times A.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table for a merge request.")] = False,
    badge: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an SVG badge.")] = None,
    public_key: PublicKeyOption = "",
    config: ConfigOption = None,
    form: FormatOption = Format.table,
    output: OutputOption = None,
) -> int:
    """Ratio of B's energy to A's, paired by prompts and concurrency, with its interval."""
    from footprint.benchmark.compare import COLUMNS, badge_svg, compare_results, markdown_report
    from footprint.benchmark.result_store import read_result
    from footprint.config import load_config

    signing_key = load_config(config).signing_key
    results = [_read_verified(path, public_key, signing_key, read_result).result for path in (a, b)]
    comparison = compare_results(results[0], results[1], anyway=anyway)
    if badge is not None:
        write_output(badge, badge_svg(comparison))
    if markdown:
        print_lines(markdown_report(comparison))
    else:
        emit(list(COLUMNS), list(comparison.rows), form, output)
    say(comparison.sentence())
    if comparison.differs:
        say(f"compare with care: {', '.join(comparison.differs)} differ")
    if threshold is not None and comparison.per_request.low > threshold:
        raise CheckFailed(
            f"{comparison.b} takes at least {comparison.per_request.low:.3g} x {comparison.a}, more than {threshold:g}"
        )
    return Exit.OK


def _read_verified(path: Path, public_key: str, signing_key: str, read: Any) -> Any:
    """Read a result; one changed after it was signed fails the check."""
    from footprint.benchmark.result_store import Tampered

    try:
        return read(path, public_key, signing_key)
    except Tampered as bad:
        raise CheckFailed(str(bad)) from None


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="RESULT.json")],
    public_key: PublicKeyOption = "",
    config: ConfigOption = None,
) -> int:
    """Import results to show them beside production.

    The same result again is a duplicate.
    """
    from footprint.benchmark.result_store import Tampered, import_result
    from footprint.config import load_config

    facts = load_config(config)
    for path in files:
        try:
            stored, new = import_result(facts, path, public_key)
        except Tampered as bad:
            raise CheckFailed(str(bad)) from None
        model = stored.result.conditions.model
        say(f"{path}: {model}, {'imported' if new else 'a duplicate'}; signature {stored.signature}; sha256 {stored.sha256}")
    say(f"http://{facts.bind}:{facts.port}/efficiency")
    return Exit.OK


@app.command("list")
def list_(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List the imported results by model and concurrency."""
    from footprint.benchmark import COLUMNS, benchmark_rows
    from footprint.config import load_config

    rows = benchmark_rows(load_config(config))
    emit(list(COLUMNS), rows, form, output)
    return Exit.OK if rows else Exit.NO_DATA


@app.command("references")
def references(form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List public measurements on other hardware, with sources.

    They are never ranked with your own.
    """
    from footprint.benchmark import reference_results

    emit(list(reference_results.COLUMNS), reference_results.reference_rows(), form, output)
    return Exit.OK
