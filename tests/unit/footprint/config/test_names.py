"""Names of the configuration: what no page and no terminal shows as it is, is refused with file and line, by either program."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from collectors.cli import main as agent_main
from collectors.config import BadConfig
from collectors.config import load_config as load_agent_config
from footprint.cli.app import status_of
from footprint.config import ConfigError, parse_config

HOSTILE = {
    "a control character": "a\\u001b[31mb",
    "a line end": "a\\nb",
    "the direction of writing": "drafting\\u202e",
    "an invisible character": "draft\\u200bing",
    "NUL": "a\\u0000b",
    "a length": "a" * 201,
}
# One place for each kind of name, always in line 2 of its block.
PLACES = {
    "organisation": '[organisation]\nname = "{}"\n',
    "site": '[[site]]\nname = "{}"\n',
    "host": '[[host]]\nname = "{}"\n',
    "site of a host": '[[host]]\nsite = "{}"\nname = "inf-01"\n',
    "service": '[[service]]\nname = "{}"\n',
    "model": '[[service]]\nmodel = "{}"\nname = "chat"\n',
    "device": '[[service]]\ndevices = ["inf-01/{}"]\nname = "chat"\n',
    "process group": '[[service]]\nprocesses = ["unit:{}"]\nname = "chat"\n',
    "replica": '[[service]]\nreplicas = {{ "{}" = "inf-01" }}\nname = "chat"\n',
    "placement": '[[placement]]\nservice = "{}"\ndevices = ["inf-01/gpu:0"]\n',
    "use case": '[[use_case]]\nname = "{}"\n',
    "owner": '[[use_case]]\nowner = "{}"\nname = "drafting"\n',
    "gateway": '[[gateway]]\nname = "{}"\nas = "litellm"\n',
    "objective": '[[objective]]\nname = "{}"\nmetric = "energy_kwh"\nat_most = 1\n',
    "annotation": '[[annotation]]\nuse_case = "{}"\nat = "2026-07-01"\ntext = "moved"\n',
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_name_of_the_configuration_is_refused_with_its_line(place: str, kind: str) -> None:
    text = PLACES[place].format(HOSTILE[kind])
    tomllib.loads(text)
    with pytest.raises(ConfigError, match=r"^footprint\.toml:2: ") as refused:
        parse_config(text)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("text", ["Rédaction assistée – niveau 2", "direction/équipe", "日本語", "الأرشيف"])
def test_a_name_in_any_script_is_taken(text: str) -> None:
    assert [fact.name for fact in parse_config(f'[[use_case]]\nname = "{text}"\n').use_cases] == [text]


def test_prose_may_have_several_lines() -> None:
    config = parse_config('[[annotation]]\nat = "2026-07-01"\ntext = """moved\nto another room"""\n')
    assert config.annotations[0].text == "moved\nto another room"


@pytest.mark.parametrize("program", ["footprint", "footprint-agent"])
def test_the_exit_status_of_a_hostile_name_is_3(program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "footprint.toml"
    path.write_text('[agent]\nhost = "inf\\u202e"\n\n[[host]]\nname = "inf\\u202e"\n')
    status = (
        status_of(["facts", "--config", str(path)]) if program == "footprint" else agent_main(["probe", "--config", str(path)])
    )
    assert status == 3
    message = capsys.readouterr().err
    assert str(path) in message
    assert "direction of writing" in message
    assert "\u202e" not in message


def test_the_agent_finds_the_file_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there.toml"
    here.mkdir()
    (here / "footprint.toml").write_text('[agent]\nhost = "inf-01"\n')
    there.write_text('[agent]\nhost = "inf-02"\n')
    monkeypatch.chdir(here)
    assert load_agent_config(None).host == "inf-01"
    monkeypatch.setenv("FOOTPRINT_CONFIG", str(there))
    assert load_agent_config(None).host == "inf-02"
    assert load_agent_config("footprint.toml").host == "inf-01"
    monkeypatch.setenv("FOOTPRINT_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(BadConfig, match="no such file"):
        load_agent_config(None)
