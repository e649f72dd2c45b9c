"""First schema of released stores, called schema 2 by development versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footprint.storage.migrations.columns import big, number, words

revision = "0002"
down_revision = None


def upgrade() -> None:
    """Forwards; there is no way back, for a figure is never taken from an older schema."""
    op.create_table(
        "alias",
        big("host_id"),
        big("place_id"),
        big("since_us"),
        big("device_id"),
        sa.PrimaryKeyConstraint("host_id", "place_id", "since_us"),
    )

    op.create_table("basis", number("id"), words("digest"), words("content"), sa.UniqueConstraint("digest"))

    op.create_table(
        "batch",
        number("id"),
        words("kind"),
        words("name"),
        words("sha256"),
        big("imported_us"),
        big("accepted"),
        big("duplicates"),
        big("rejected"),
        big("withdrawn_us", nullable=True),
        words("reason"),
    )
    op.create_index("batch_name", "batch", ["kind", "name"])

    op.create_table("event", number("id"), big("at_us"), words("kind"), words("text"))

    op.create_table(
        "footprint_count",
        big("slot"),
        big("service_id"),
        big("use_case_id"),
        big("model_id"),
        big("charter_id"),
        big("requests"),
        big("input_tokens", nullable=True),
        big("cached_input_tokens", nullable=True),
        big("output_tokens", nullable=True),
        big("shard_id"),
        sa.PrimaryKeyConstraint("slot", "service_id", "use_case_id", "model_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("footprint_count_shard", "footprint_count", ["shard_id"])

    op.create_table(
        "footprint_row",
        big("slot"),
        big("host_id"),
        big("device_id"),
        big("service_id"),
        big("use_case_id"),
        big("model_id"),
        big("basis_id"),
        big("charter_id"),
        big("active_uj"),
        big("idle_uj"),
        big("host_uj"),
        big("facility_uj"),
        big("spread_a_uj"),
        big("spread_b_uj"),
        big("modelled_uj"),
        big("grade_b_uj"),
        big("grade_c_uj"),
        big("embodied_ug"),
        big("shard_id"),
        sa.PrimaryKeyConstraint("slot", "host_id", "device_id", "service_id", "use_case_id", "model_id", "basis_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("footprint_row_shard", "footprint_row", ["shard_id"])

    op.create_table(
        "footprint_seen",
        big("slot"),
        big("host_id"),
        big("device_id"),
        big("first_us"),
        big("last_us"),
        big("measured_us"),
        big("bridged_us"),
        big("modelled_us"),
        big("energy_uj"),
        big("shard_id"),
        sa.PrimaryKeyConstraint("slot", "host_id", "device_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("footprint_seen_shard", "footprint_seen", ["shard_id"])

    op.create_table(
        "footprint_split",
        big("day"),
        big("host_id"),
        big("service_id"),
        words("status"),
        words("content"),
        big("shard_id"),
        sa.PrimaryKeyConstraint("day", "host_id", "service_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("footprint_split_shard", "footprint_split", ["shard_id"])

    op.create_table(
        "footprint_straddle",
        number("id"),
        big("start_us"),
        big("end_us"),
        big("service_id"),
        big("use_case_id"),
        big("model_id"),
        big("charter_id"),
        big("requests"),
        big("input_tokens", nullable=True),
        big("cached_input_tokens", nullable=True),
        big("output_tokens", nullable=True),
        big("shard_id"),
    )
    op.create_index("footprint_straddle_end", "footprint_straddle", ["end_us"])

    op.create_table(
        "intensity",
        words("series"),
        words("zone"),
        big("start_us"),
        big("retrieved_us"),
        big("length_us"),
        sa.Column("g_per_kwh", sa.Float(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("series", "zone", "start_us", "retrieved_us"),
    )

    op.create_table("meta", words("key"), words("value"), sa.PrimaryKeyConstraint("key"))

    op.create_table("name", number("id"), words("text"), sa.UniqueConstraint("text"))

    op.create_table(
        "reading",
        big("stream_id"),
        big("time_us"),
        big("value"),
        big("covered_us"),
        big("epoch_id"),
        big("seq"),
        big("mono_us"),
        big("flags"),
        big("batch_id"),
        sa.PrimaryKeyConstraint("stream_id", "time_us"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "readingclaim",
        big("time_us"),
        big("stream_id"),
        big("batch_id"),
        sa.PrimaryKeyConstraint("time_us", "stream_id", "batch_id"),
    )

    op.create_table(
        "request",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        big("start_us"),
        big("end_us", nullable=True),
        big("first_token_us", nullable=True),
        big("service_id"),
        big("use_case_id"),
        big("model_id"),
        big("requests"),
        big("input_tokens", nullable=True),
        big("cached_input_tokens", nullable=True),
        big("output_tokens", nullable=True),
        sa.Column("units", sa.Float(), nullable=True),
        big("unit_id"),
        big("status_id"),
        sa.Column("content", sa.LargeBinary(8), nullable=False),
        big("batch_id"),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("request_service_start", "request", ["service_id", "start_us"])

    op.create_table(
        "requestclaim",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        big("batch_id"),
        sa.PrimaryKeyConstraint("key", "batch_id"),
    )

    op.create_table(
        "serviceday", big("service_id"), big("day"), big("first_us"), big("version"), sa.PrimaryKeyConstraint("service_id", "day")
    )

    op.create_table(
        "shard",
        number("id"),
        big("day"),
        words("members"),
        words("fingerprint"),
        big("computed_us"),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        words("facts"),
        words("notes"),
    )
    op.create_index("shard_identity", "shard", ["day", "members"], unique=True)

    op.create_table(
        "statistics",
        words("stream_key"),
        big("day"),
        words("inputs"),
        words("content"),
        sa.PrimaryKeyConstraint("stream_key", "day"),
    )

    op.create_table(
        "stored_factor",
        words("bundle"),
        big("number"),
        words("sha256"),
        big("imported_us"),
        words("line"),
        sa.PrimaryKeyConstraint("bundle", "number"),
    )

    op.create_table(
        "stream",
        number("id"),
        big("host_id"),
        big("device_id"),
        words("component"),
        words("quantity"),
        words("grade"),
        words("source"),
        words("model"),
    )
    op.create_index("stream_identity", "stream", ["host_id", "device_id", "quantity", "grade"], unique=True)

    op.create_table(
        "streamday",
        big("stream_id"),
        big("day"),
        big("first_us"),
        big("last_us"),
        big("version"),
        sa.PrimaryKeyConstraint("stream_id", "day"),
    )

    op.create_table(
        "token",
        words("host"),
        words("digest"),
        big("created_us"),
        big("revoked_us", nullable=True),
        sa.PrimaryKeyConstraint("host"),
    )

    op.create_table(
        "users",
        words("period"),
        words("service"),
        words("use_case"),
        big("users"),
        sa.Column("max_share", sa.Float(), nullable=True),
        big("teams", nullable=True),
        big("batch_id"),
        sa.PrimaryKeyConstraint("period", "service", "use_case"),
    )

    op.create_table(
        "usersclaim",
        words("period"),
        words("service"),
        words("use_case"),
        big("batch_id"),
        sa.PrimaryKeyConstraint("period", "service", "use_case", "batch_id"),
    )

    op.create_table(
        "withdrawnreading",
        number("id"),
        big("time_us"),
        big("stream_id"),
        big("value"),
        big("covered_us"),
        big("epoch_id"),
        big("seq"),
        big("mono_us"),
        big("flags"),
        big("batch_id"),
    )

    op.create_table(
        "withdrawnrequest",
        number("id"),
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        big("start_us"),
        big("end_us", nullable=True),
        big("first_token_us", nullable=True),
        big("service_id"),
        big("use_case_id"),
        big("model_id"),
        big("requests"),
        big("input_tokens", nullable=True),
        big("cached_input_tokens", nullable=True),
        big("output_tokens", nullable=True),
        sa.Column("units", sa.Float(), nullable=True),
        big("unit_id"),
        big("status_id"),
        sa.Column("content", sa.LargeBinary(8), nullable=False),
        big("batch_id"),
    )

    op.create_table(
        "withdrawnusers",
        number("id"),
        words("period"),
        words("service"),
        words("use_case"),
        big("users"),
        sa.Column("max_share", sa.Float(), nullable=True),
        big("teams", nullable=True),
        big("batch_id"),
    )
