"""The rules of publication: what stands where nothing is declared, and what is refused, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from footprint.config import ConfigError, load_config, parse_config


def test_nothing_declared_is_the_policy_of_the_contract() -> None:
    rules = parse_config("").editions
    assert (rules.provisional_day, rules.final_day, rules.licence, rules.seen_before) == (15, 60, "Licence Ouverte 2.0", ())


def test_a_folder_is_relative_to_the_file_and_an_address_stays(tmp_path: Path) -> None:
    path = tmp_path / "footprint.toml"
    path.write_text('[editions]\nfolder = "published"\ndecisions = "said.toml"\n')
    config = load_config(str(path))
    assert config.editions_url() == str(tmp_path / "published")
    assert config.editions.decisions == str(tmp_path / "said.toml")
    path.write_text('[editions]\nfolder = "s3://bucket/editions"\n')
    assert load_config(str(path)).editions_url() == "s3://bucket/editions"
    path.write_text('[store]\nurl = "sqlite:///x.db"\n')
    assert load_config(str(path)).editions_url() == str(tmp_path / "x.editions")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("final_day = 10", "final_day must come after provisional_day"),
        ("final_day = 0", "from 1 to 365"),
        ("release_hour = 24", "from 0 to 23"),
        ('address = "footprint.example.org"', "must begin with https://"),
        ("seen_before = true", "a list of texts"),
        ("contact = 3", "a text in quotes"),
        ('foldre = "x"', "unknown key 'foldre'"),
    ],
)
def test_refused_with_its_line(line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"footprint.toml:2: .*") as refused:
        parse_config(f"[editions]\n{line}\n")
    assert said in str(refused.value)
