"""A proposal for an unknown log: any file gives a map or a sentence, and the fast decoder reads what the plain one reads."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footprint.core.log_formats import load_map, parse_map
from footprint.core.records import FootprintError
from footprint.ledger.json_decoder import decoder_of
from footprint.ledger.map_proposal import propose_map, shown_rows, try_map
from tests.support.map_fixtures import EXPECTED, FOLDER, documents_of, map_of

SECRET = "Hortense"
NAMES = st.sampled_from(
    [
        "ts",
        "start_time",
        "end",
        "latency_ms",
        "duration",
        "prompt_tokens",
        "output_tokens",
        "model",
        "status",
        "user",
        "prompt",
        "app",
        "id",
        "a.b",
        'q"',
        "",
    ]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 2 * 10**18), st.floats(), st.text(max_size=12),
    st.sampled_from(["2026-10-14T00:00:00Z", "14/10/2026 00:00", 1760000000, 1760000000123, "ok", 200, "m", '{"a": 1}']),
)  # fmt: skip
OBJECTS = st.dictionaries(
    NAMES,
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3)),
    max_size=6,
)


@settings(deadline=None, max_examples=150)
@given(documents=st.lists(OBJECTS, max_size=4), as_array=st.booleans())
def test_any_json_gives_a_map_that_compiles_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, documents: list[dict[str, Any]], as_array: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_text(json.dumps(documents) if as_array else "".join(json.dumps(document) + "\n" for document in documents))
    try:
        proposal = propose_map(str(path))
    except FootprintError:
        return
    parse_map(proposal.text)
    assert len(shown_rows(proposal.field_map, proposal.documents)) <= 10


@settings(deadline=None, max_examples=80)
@given(content=st.binary(max_size=300))
def test_any_bytes_give_a_map_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_bytes(content)
    for read in (
        lambda: propose_map(str(path)),
        lambda: try_map(load_map("litellm"), str(path)),
        lambda: try_map(load_map("litellm-spend"), str(path)),
    ):
        with contextlib.suppress(FootprintError):
            read()


def test_a_duration_without_a_unit_is_told_by_its_size(tmp_path: Path) -> None:
    for duration, unit in ((2.5, "s"), (1530, "ms"), (1_530_000, "us"), (4_883_583_458, "ns")):
        path = tmp_path / "log.jsonl"
        path.write_text(
            json.dumps({"started_at": "2026-07-01T00:00:00Z", "duration": duration, "model": "m", "output_tokens": 3}) + "\n"
        )
        assert f'plus = "duration", span_unit = "{unit}"' in propose_map(str(path)).text


def test_a_table_of_a_spreadsheet_in_french_is_proposed_whole(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(
        "Date;Application;Modèle;Durée (s);Jetons entrée;Jetons sortie\n14/10/2026 10:00:00;enquête;m;1,5;100;20\n".encode(
            "cp1252"
        )
    )
    (row,) = propose_map(str(path)).field_map.mapped(propose_map(str(path)).documents[0])
    assert row == {
        "start": "1791971998.5", "end": "1791972000", "model": "m", "input_tokens": "100", "output_tokens": "20", "use_case": "enquête"
    }  # fmt: skip


@pytest.mark.parametrize("file", sorted(file for file in EXPECTED if file.endswith(".jsonl")))
def test_a_decoder_builds_nothing_that_no_map_names(file: str) -> None:
    """Prompts, answers and users are passed over; what the map reads is the same as from the whole payload."""
    field_map = map_of(file)
    decode = decoder_of(field_map)
    for line in (FOLDER / file).read_text().splitlines():
        assert field_map.read(decode(line)) == field_map.read(json.loads(line))
    if file in ("litellm.jsonl", "kong.jsonl", "portkey.jsonl", "langfuse.jsonl", "ollama.jsonl"):
        built = [value for line in (FOLDER / file).read_text().splitlines() for value in texts_of(decode(line))]
        raw = [value for document in documents_of(file.removesuffix(".jsonl")) for value in texts_of(document)]
        assert raw.count(SECRET) > built.count(SECRET)
        assert "messages" not in json.dumps(decode((FOLDER / file).read_text().splitlines()[0]))


def texts_of(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for inner in (value.values() if isinstance(value, dict) else value) for text in texts_of(inner)]
    return [value] if isinstance(value, str) else []
