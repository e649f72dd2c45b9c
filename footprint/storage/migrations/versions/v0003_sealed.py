"""Sealed days with their hash chains; job runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footprint.storage.migrations.columns import big, number, words

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forwards; there is no way back, for a figure is never taken from an older schema."""
    op.create_table(
        "job", number("id"), words("name"), big("started_us"), big("ended_us", nullable=True), words("status"), words("said")
    )
    op.create_index("job_name", "job", ["name", "started_us"])

    op.create_table(
        "sealed",
        words("source"),
        big("seq"),
        big("day"),
        big("part"),
        words("file"),
        words("sha256"),
        words("link"),
        big("rows"),
        big("first_us"),
        big("last_us"),
        words("state"),
        words("batches"),
        big("sealed_us"),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("source", "seq"),
    )
    op.create_index("sealed_day", "sealed", ["source", "day"])
