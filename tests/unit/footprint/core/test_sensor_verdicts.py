"""Verdicts on sensors: the form in which they travel, and the judgement itself."""

from hypothesis import given
from hypothesis import strategies as st

from footprint.core.records import CONTEXT, ContextReading, from_line, grade_of, to_line
from footprint.core.sensor_verdicts import (
    STATE_VALUES,
    VERDICT_VALUES,
    Reason,
    SensorState,
    SensorVerdict,
    Verdict,
    Witness,
    states_from_values,
    verdict_to_values,
    verdicts_from_rows,
    verdicts_from_values,
)

T0 = 1_780_000_000_000_000
NUMBERS = st.integers(0, 10**15)
VERDICTS = st.builds(
    SensorVerdict,
    st.integers(T0, T0 + 10**12),
    st.sampled_from(Verdict),
    st.sampled_from(Witness),
    st.sampled_from(Reason),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
)


@given(st.dictionaries(st.sampled_from(["nvml-energy", "nvml-power-average", "redfish-witness"]), VERDICTS, min_size=1))
def test_verdicts_return_from_the_wire_as_they_were_sent(verdicts):
    for source, verdict in verdicts.items():
        values = verdict_to_values(source, verdict)
        line = to_line(ContextReading("h", "GPU-1", "gpu", "nvml", "e", 0, verdict.at_us, values))
        reading = from_line(line)
        assert isinstance(reading, ContextReading)
        assert verdicts_from_values(reading.values, reading.at_us) == {source: verdict}


@given(st.lists(VERDICTS, min_size=1, max_size=5, unique_by=lambda verdict: verdict.at_us))
def test_stored_rows_give_the_verdicts_of_each_source_in_order_of_time(verdicts):
    rows = [(v.at_us, name, value) for v in verdicts for name, value in verdict_to_values("rapl", v).items()]
    rows += [(v.at_us, "busy_us", 5) for v in verdicts]
    assert verdicts_from_rows(rows) == {"rapl": sorted(verdicts, key=lambda v: v.at_us)}


def test_a_code_of_a_newer_agent_is_no_agreement():
    assert verdicts_from_values({"verdict/rapl": 99}, T0)["rapl"].verdict == Verdict.DISAGREES
    assert states_from_values({"sensor_state/rapl": 99}) == {"rapl": (SensorState.UNREADABLE, Reason.NONE)}


def test_states_carry_their_reason():
    values = {"sensor_state/nvml-energy": 2, "sensor_reason/nvml-energy": Reason.NOT_READY, "busy_us": 3}
    assert states_from_values(values) == {"nvml-energy": (SensorState.UNREADABLE, Reason.NOT_READY)}


def test_every_value_of_a_verdict_is_a_name_of_the_wire():
    assert {*VERDICT_VALUES, *STATE_VALUES} <= CONTEXT


def test_a_second_source_of_a_grade_is_a_witness_and_not_a_reading_of_that_grade():
    assert grade_of("redfish-witness", counter=False) == "witness"
    assert grade_of("rapl-witness", counter=True) == "witness"
    assert grade_of("redfish", counter=False) == "power"
