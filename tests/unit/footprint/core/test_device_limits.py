"""Physical limits by model: the table answers for boards that exist, and widely for the rest."""

import csv

import pytest

from footprint.core.device_limits import ceiling_uw, device_limits, floor_uw
from footprint.core.limits import MAX_POWER_W
from footprint.core.resources import data_path
from footprint.core.units import UW_PER_W

# Board or package power of the data sheet [W], by the name that the driver gives.
BOARDS = {
    "NVIDIA H100 80GB HBM3": 700,
    "NVIDIA H100 PCIe": 350,
    "NVIDIA H200": 700,
    "NVIDIA H200 NVL": 600,
    "NVIDIA B200": 1000,
    "NVIDIA GB200": 1200,
    "NVIDIA GH200 480GB": 1000,
    "NVIDIA GB10": 140,
    "NVIDIA A100-SXM4-80GB": 500,
    "NVIDIA A100 80GB PCIe": 300,
    "Tesla V100-SXM2-32GB": 300,
    "NVIDIA L40S": 350,
    "NVIDIA L4": 72,
    "Tesla T4": 70,
    "NVIDIA A10G": 300,
    "NVIDIA GeForce RTX 4090": 600,
    "NVIDIA GeForce RTX 5070 Ti Laptop GPU": 140,
    "NVIDIA RTX 6000 Ada Generation": 300,
    "AMD Instinct MI300X": 750,
    "AMD Instinct MI355X": 1400,
    "AMD Instinct MI250X": 560,
    "Intel(R) Data Center GPU Max 1550": 600,
    "Intel(R) Arc(TM) A770 Graphics": 225,
    "a board of next year": 3600,
}


@pytest.mark.parametrize(("model", "board_w"), BOARDS.items())
def test_a_ceiling_lies_above_what_the_board_may_draw_and_within_thrice_of_it(model, board_w):
    ceiling_w = ceiling_uw("gpu", model) / UW_PER_W
    assert 1.2 * board_w <= ceiling_w
    if model != "a board of next year":
        assert ceiling_w <= 3 * board_w
        assert 12 * floor_uw("gpu", model) <= board_w * UW_PER_W


@pytest.mark.parametrize(("component", "wide_w"), {"gpu": 5000, "cpu": 1500, "dram": 1000, "host": 200_000}.items())
def test_an_unknown_model_gets_the_wide_ceiling_of_its_component_and_no_floor(component, wide_w):
    assert ceiling_uw(component, "unheard of") == wide_w * UW_PER_W <= MAX_POWER_W[component] * UW_PER_W
    assert floor_uw(component, "unheard of") == 0


def test_a_sensor_of_the_platform_is_bounded_as_a_host():
    assert ceiling_uw("cpu", "Intel(R) Xeon(R) Platinum", "rapl-psys") == MAX_POWER_W["host"] * UW_PER_W


def test_every_row_is_in_order_sourced_and_dated():
    with data_path("device_limits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert 0 <= float(row["floor_w"]) < float(row["ceiling_w"]) <= MAX_POWER_W[row["component"]]
        assert row["source"]
        assert row["retrieved"] >= "2026-11-30"
    assert "700 W" in device_limits("gpu", "NVIDIA H100 80GB HBM3").source
