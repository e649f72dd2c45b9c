"""Roll-ups by day and month, which the next ``footprint aggregate`` fills; indexes for the first look-ups of every query."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footprint.storage.migrations.columns import big

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Forwards; there is no way back, for a figure is never taken from an older schema."""
    amounts: tuple[str, ...] = (
        "active_uj",
        "idle_uj",
        "host_uj",
        "facility_uj",
        "spread_a_uj",
        "spread_b_uj",
        "modelled_uj",
        "grade_b_uj",
        "grade_c_uj",
        "embodied_ug",
        "divided",
    )
    keys: tuple[str, ...] = (
        "level",
        "start",
        "host_id",
        "device_id",
        "service_id",
        "use_case_id",
        "model_id",
        "charter_id",
        "basis_id",
    )
    op.create_table(
        "footprint_row_sum", *(big(name) for name in (*keys, *amounts)), sa.PrimaryKeyConstraint(*keys), sqlite_with_rowid=False
    )

    keys = ("level", "start", "service_id", "use_case_id", "model_id", "charter_id")
    op.create_table(
        "footprint_count_sum",
        *(big(name) for name in (*keys, "requests")),
        big("input_tokens", nullable=True),
        big("cached_input_tokens", nullable=True),
        big("output_tokens", nullable=True),
        sa.PrimaryKeyConstraint(*keys),
        sqlite_with_rowid=False,
    )

    keys = ("level", "start", "host_id", "device_id")
    amounts = ("first_us", "last_us", "measured_us", "bridged_us", "modelled_us", "energy_uj", "gap_us")
    op.create_table(
        "footprint_seen_sum", *(big(name) for name in (*keys, *amounts)), sa.PrimaryKeyConstraint(*keys), sqlite_with_rowid=False
    )

    # What a window crosses is not known before sums are made; until then 2 has it looked at by every question.
    op.add_column("footprint_straddle", sa.Column("crosses", sa.BigInteger(), nullable=False, server_default="2"))
    op.drop_index("footprint_straddle_end", "footprint_straddle")
    op.create_index("footprint_straddle_end", "footprint_straddle", ["crosses", "end_us"])
    op.create_index("footprint_straddle_shard", "footprint_straddle", ["shard_id"])

    op.create_index("shard_open", "shard", ["provisional", "day", "members"])
    op.create_index("shard_computed", "shard", ["computed_us"])
    op.create_index("streamday_first", "streamday", ["first_us", "last_us"])
    op.create_index("streamday_last", "streamday", ["last_us", "first_us"])
