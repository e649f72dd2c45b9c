"""The service itself: `init`, `up`, `serve`, `doctor`, and the tokens of agents."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from footprint.cli.exit_status import Exit, SensorUnavailable, UsageError
from footprint.cli.groups import command_group
from footprint.cli.options import ConfigOption, FormatOption, OutputOption, loaded, open_store, opened, say
from footprint.core.output_files import write_output
from footprint.core.resources import data_path
from footprint.core.table_output import Format, emit
from footprint.core.timestamps import format_instant, now_us
from footprint.core.units import US_PER_DAY

if TYPE_CHECKING:
    from footprint.config import Config
    from footprint.storage.database import Store

token_app = command_group("Add, list and revoke the tokens of agents.")


def init(directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the file.")] = Path()) -> int:
    """Write a commented footprint.toml."""
    target = directory / "footprint.toml"
    if target.exists():
        raise UsageError(f"{target} exists and is left as it is")
    write_output(target, data_path("footprint.toml").read_bytes())
    say(f"{target} written; edit it, then `footprint up --config {target}`")
    return Exit.OK


VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log what each job did, too.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Log problems alone.")]


def serve(
    no_scheduler: Annotated[bool, typer.Option("--no-scheduler", help="Run as a replica that only reads.")] = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> int:
    """Run the server: ingest, API, dashboard and scheduler.

    SIGTERM ends it, with its worker processes, within seconds. A store of an earlier release is upgraded, after a backup, where
    nothing else has it open.
    """
    from footprint.api.app import build_application
    from footprint.server.main import serve as run_server

    facts, store = _prepared(config, verbose, quiet)
    _log_start(facts, store, scheduler=not no_scheduler)
    run_server(
        facts, store, _file(facts), build_application, scheduler=not no_scheduler, on_ready=lambda port: _greet(facts, port)
    )
    return Exit.OK


def up(verbose: VerboseOption = False, quiet: QuietOption = False, config: ConfigOption = None) -> int:
    """Run the agent and the server on this machine.

    SIGTERM ends both. A store of an earlier release is upgraded, after a backup, where nothing else has it open.
    """
    from footprint.api.app import build_application
    from footprint.server.main import serve as run_server
    from footprint.server.process_end import orderly_end

    facts, store = _prepared(config, verbose, quiet)
    _log_start(facts, store, scheduler=True)
    agent: list[subprocess.Popen[bytes]] = []

    def start_agent(port: int) -> None:
        agent.append(_start_agent(facts, store, port))
        _greet(facts, port)

    with orderly_end():
        try:
            run_server(facts, store, _file(facts), build_application, on_ready=start_agent)
        finally:
            for process in agent:
                process.terminate()
            for process in agent:
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
    return Exit.OK


def _prepared(config_file: str | None, verbose: bool, quiet: bool) -> tuple[Config, Store]:
    """Configuration and store of a server, with its log set up and its port free."""
    import logging

    from footprint.server.logs import configure_logs

    if verbose and quiet:
        raise UsageError("--verbose and --quiet do not go together")
    facts = loaded(config_file)
    configure_logs(facts.log_form, logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    _require_port(facts)
    return facts, _own_store(facts)


def _own_store(facts: Config) -> Store:
    """Open the store of a server: created where there is none, upgraded where it is of an earlier release."""
    from footprint.cli.store import upgrade
    from footprint.storage.database import StoreOutdated

    try:
        return open_store(facts, create=True)
    except StoreOutdated:
        upgrade(facts)
        return open_store(facts, create=True)


def _log_start(facts: Config, store: Store, *, scheduler: bool) -> None:
    import logging

    from footprint.access.authentication import access_mode
    from footprint.core.version import VERSION

    logging.getLogger("footprint.server").info(
        "footprint %s, process %d: store %s%s; configuration %s; access %s; scheduler %s",
        VERSION,
        os.getpid(),
        store.location,
        " (demonstration)" if facts.demo else "",
        facts.path.resolve() if facts.path else "none, defaults hold",
        access_mode(facts),
        "on" if scheduler else "off",
    )


def _file(facts: Config) -> str | None:
    return None if facts.path is None else str(facts.path)


def _greet(config: Config, port: int) -> None:
    address = f"[{config.bind}]" if ":" in config.bind else config.bind
    from footprint.access.authentication import administrator_link, needs_token, startup_warning

    if warning := startup_warning(config):
        say(warning)
    say(f"dashboard at http://{address}:{port} (Ctrl-C to stop)")
    if not needs_token(config):
        return
    if sys.stderr.isatty():  # a link in a log would be read by others, and stay there
        say(f"open it as administrator with this link: {administrator_link(config, port)}")
    else:
        say("`footprint access link` in a terminal prints the link that opens it as administrator")


def _require_port(config: Config) -> None:
    family = socket.AF_INET6 if ":" in config.bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.bind, config.port))
        except OSError as bad:
            raise SensorUnavailable(
                f"cannot listen at {config.bind}:{config.port}: {bad.strerror}; "
                "choose another with PORT=… make run, or [server] port"
            ) from None


def _start_agent(config: Config, store: Store, port: int) -> subprocess.Popen[bytes]:
    """Start the agent's own program with the address of this server and the processes of the service."""
    host = str(config.agent.get("host") or socket.gethostname())
    base = config.path.resolve().parent if config.path else Path.cwd()
    token_file = base / str(config.agent.get("token_file") or "agent.token")
    _own_token(store, host, token_file)
    loopback = "127.0.0.1" if config.bind in ("0.0.0.0", "") else config.bind
    environment = os.environ | {
        "FOOTPRINT_AGENT__SERVER": f"http://{loopback}:{port}",
        "FOOTPRINT_AGENT__TOKEN_FILE": str(token_file),
        "FOOTPRINT_AGENT__HOST": host,
        "FOOTPRINT_AGENT__SPOOL": str(base / str(config.agent.get("spool") or "spool")),
    }
    processes = [*config.agent.get("processes", ())]
    processes = [entry for entry in processes if not entry.startswith("footprint=")]
    entries = ", ".join(f"'{entry}'" for entry in [*processes, f"footprint=pid:{os.getpid()}"])
    environment["FOOTPRINT_AGENT__PROCESSES"] = f"[{entries}]"
    command = [sys.executable, "-m", "collectors", "run", "--with-parent"]
    if config.path:
        command += ["--config", str(config.path)]
    return subprocess.Popen(command, env=environment)


def _own_token(store: Store, host: str, path: Path) -> None:
    """Write a token for this machine into a file that only its owner reads, unless the store knows the one there."""
    from footprint.access.agent_tokens import add_token, host_of

    if path.is_file() and host_of(store, path.read_text(encoding="utf-8").strip()) == host:
        return
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        # It lies beside the store: who reads it could write there.
        file.write(add_token(store, host, now_us(), ["*"]) + "\n")


@token_app.command("add")
def token_add(
    host: str,
    service: Annotated[
        list[str] | None,
        typer.Option("--service", metavar="NAME", help="A service it may write requests for; repeatable, '*' for all."),
    ] = None,
    config: ConfigOption = None,
) -> int:
    """Add a token for the agent of a host, printed once; it replaces an earlier one.

    It writes readings of that host only, and requests of the services placed there or nowhere. A gateway names its services.
    """
    from footprint.access.agent_tokens import add_token

    _, store = opened(config, create=True)
    services = service or []
    print(add_token(store, host, now_us(), services))
    scope = "requests of all services" if "*" in services else ", ".join([*services, "and what runs on it"]) if services else ""
    say(f"write it into the token_file of {host} (mode 0600); it may write for that host only" + (f": {scope}" if scope else ""))
    return Exit.OK


@token_app.command("list")
def token_list(config: ConfigOption = None, form: FormatOption = Format.table, output: OutputOption = None) -> int:
    """List the hosts that have a token."""
    from footprint.access.agent_tokens import list_tokens

    _, store = opened(config)
    rows: list[dict[str, Any]] = [
        {
            "host": row["host"],
            "services": ", ".join(row["services"]) or None,
            "created": format_instant(row["created_us"]),
            "revoked": None if row["revoked_us"] is None else format_instant(row["revoked_us"]),
        }
        for row in list_tokens(store)
    ]
    emit(["host", "services", "created", "revoked"], rows, form, output)
    return Exit.OK


@token_app.command("revoke")
def token_revoke(host: str, config: ConfigOption = None) -> int:
    """Revoke the token of a host."""
    from footprint.access.agent_tokens import revoke_token

    _, store = opened(config)
    revoke_token(store, host, now_us())
    say(f"the token of {host} is refused from now on")
    return Exit.OK


def doctor(config: ConfigOption = None) -> int:
    """Show what can be measured here, what cannot, and the remedy."""
    facts = loaded(config)
    say(f"configuration: {facts.path.resolve() if facts.path else 'none found, defaults hold'}")
    _say_store_state(facts)
    say(f"sealed days: {facts.sealed_url()}; editions: {facts.editions_url()}")
    command = [sys.executable, "-m", "collectors", "probe"]
    if facts.path:
        command += ["--config", str(facts.path)]
    return subprocess.run(command, check=False).returncode


def _say_store_state(facts: Config) -> None:
    """Say where the store is and what state it is in; a store that cannot be opened is no reason to measure nothing."""
    from footprint.storage.database import StoreError

    try:
        store = open_store(facts)
    except StoreError as error:
        say(f"store: {error}")
        return
    say(f"store: {store.location} opens; {'demonstration' if facts.demo else 'real'} data")
    say(f"figures of the last seven days: {_aggregation_state(facts, store)}")


def _aggregation_state(facts: Config, store: Store) -> str:
    """Whether days wait to be computed, since when, and whether aggregation is behind."""
    from footprint.queries.aggregation_lag import BEHIND_AFTER_S, pending_hosts, pending_s
    from footprint.queries.energy_balance import energy_balance

    now = now_us()
    balances = energy_balance(store, facts, now - 7 * US_PER_DAY, None)
    behind = "aggregation is behind: " if pending_s(balances, now) > BEHIND_AFTER_S else ""
    return behind + (pending_hosts(balances) or ("computed" if balances else "no reading"))
