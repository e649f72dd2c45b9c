"""Parts of pages: nothing is lost in flows, silences are said, comparisons have names, annotations stand where they belong."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.components import interval_ruler, state_strip
from dashboards.parts.day_strip import day_labels
from dashboards.parts.sankey import TOTAL_HEIGHT, Flow, Node, draw_sankey
from dashboards.url_state import UrlState
from footprint.config import ConfigError
from footprint.config.models import Annotation
from footprint.core.timestamps import parse_instant
from tests.support.components import elements, text_of
from tests.support.contract_files import CONFIG, NOW_US, config

WIDTHS = re.compile(r'class="flow (\w+)" stroke-width="([\d.]+)"')


@given(st.lists(st.floats(0.5, 100), min_size=1, max_size=6), st.floats(1, 30))
def test_ribbon_widths_are_proportional_to_flows(uses: list[float], facility: float) -> None:
    flows = [Flow("h a", "s x", sum(uses), "data"), Flow("h a", "u facility", facility, "facility")]
    flows += [Flow("s x", f"u {n}", amount, "data") for n, amount in enumerate(uses)]
    nodes = [Node("h a", 0, "a", "1"), Node("s x", 1, "x", "1")]
    nodes += [Node(f"u {n}", 2, f"<{n}>", "1", "[1 ; 2]") for n in range(len(uses))]
    nodes += [Node("u facility", 2, "Cooling", "1", kind="facility", outflow=True)]
    drawn = draw_sankey(flows, nodes, ("HOSTS", "SERVICES", "USES"))
    widths = [(kind, float(width)) for kind, width in WIDTHS.findall(drawn)]
    assert len(widths) == len(flows)
    leaving = sum(width for _, width in widths) - sum(amount for amount in uses) * TOTAL_HEIGHT / (sum(uses) + facility)
    assert leaving == pytest.approx(TOTAL_HEIGHT, rel=0.02)
    assert "<0>" not in drawn  # names of the world are text, never markup
    assert drawn.count("hairline") == 1


def test_a_strip_has_one_cell_a_run_and_loses_no_day() -> None:
    days = [("2026-07-01", "measured"), ("2026-07-02", "measured"), ("2026-07-03", "missing"), ("2026-07-04", "measured")]
    runs = state_strip(days, "x").children
    assert [(run.className, run.style["flexGrow"]) for run in runs] == [
        ("cell measured", 2),
        ("cell missing", 1),
        ("cell measured", 1),
    ]


def test_the_name_of_a_reference_at_the_edge_stays_inside() -> None:
    (name,) = elements(interval_ruler(10, 11, 12, 30, "Q3 2025"), css_class="ruler-name")
    assert text_of(name) == "Q3 2025"
    assert name in elements(name, css_class="right")
    assert not elements(interval_ruler(10, 11, 12, None), css_class="ruler-reference")
    assert not elements(interval_ruler(5, 5, 5, 4, "x"), css_class="ruler-band")  # an exact count has no width


def test_days_are_labelled_by_month_where_there_are_several() -> None:
    days = [f"2026-07-{n:02}" for n in range(1, 32)] + [f"2026-08-{n:02}" for n in range(1, 32)] + ["2026-09-01"]
    assert [words for _, words in day_labels(days, "en", 4)] == ["July", "August"]
    assert day_labels([], "en", 4) == []


@pytest.mark.parametrize(
    ("search", "begin", "end"),
    [
        ("?from=now-7d&to=now", NOW_US - 7 * 86_400_000_000, NOW_US),
        ("?from=now-24h", NOW_US - 86_400_000_000, None),
        ("?from=2026-07-01&to=2026-07-02", parse_instant("2026-06-30T22:00:00Z"), parse_instant("2026-07-01T22:00:00Z")),
    ],
)
def test_periods_relative_to_now_are_those_of_grafana(search: str, begin: int, end: int | None) -> None:
    view = UrlState.parse("/", search, "en")
    assert view.bounds(config(), NOW_US) == (begin, end)
    assert UrlState.parse("/", view.link().partition("?")[2], "en").bounds(config(), NOW_US) == (begin, end)


def test_a_period_can_be_compared_with_any_named_one() -> None:
    view = UrlState.parse("/", "?period=2026-Q3&vs=2025-Q1", "en")
    assert view.reference_bounds(config(), NOW_US) == (
        parse_instant("2024-12-31T23:00:00Z"),
        parse_instant("2025-03-31T22:00:00Z"),
    )


def test_annotations_are_translated_and_concern_their_entities() -> None:
    block = '[[annotation]]\nat = "2026-07-02"\nuntil = "2026-07-03"\nfr = "arrêt"\nen = "outage"\nhost = "a"\n'
    (annotation,) = config(CONFIG + block).annotations
    assert (annotation.text_in("fr"), annotation.text_in("en")) == ("arrêt", "outage")
    assert annotation.until_us - annotation.at_us == 86_400_000_000
    assert annotation.concerns(())
    assert annotation.concerns((("host", "a"), ("service", "chat")))
    assert not annotation.concerns((("host", "b"),))
    assert Annotation(1, "x").text_in("en") == "x"
    assert replace(annotation, host="", model="m").concerns((("model", "m"),))


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ('at = "2026-07-02"', "an annotation needs at"),
        ('at = "2026-07-02"\ntext = ""', "an annotation needs at"),
        ('at = "2026-07-02"\nuntil = "2026-07-01"\ntext = "x"', "ends \\(until\\) before it begins"),
        ('at = "2026-07-02"\ntext = "x"\nwho = "me"', "who"),
    ],
)
def test_an_invalid_annotation_is_refused_with_its_line(block: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(f"{CONFIG}[[annotation]]\n{block}\n")
