"""Figures as packed blocks. The rows of earlier releases are converted day by day when the store is next opened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footprint.storage.migrations.columns import big, number, words

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forwards; there is no way back, for a figure is never taken from an older schema."""
    op.create_table(
        "figure_block",
        number("id"),
        big("tier"),
        big("shard_id"),
        big("first_s"),
        big("last_s"),
        words("zone"),
        words("digest"),
        words("dead"),
        sqlite_autoincrement=True,
    )
    op.create_index("figure_block_extent", "figure_block", ["last_s", "first_s"])
    op.create_index("figure_block_shard", "figure_block", ["shard_id"])
    op.create_table(
        "figure_part",
        big("block_id"),
        words("part"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("block_id", "part"),
    )
    op.add_column("shard", sa.Column("digest", sa.String(), nullable=False, server_default=""))
    for name in ("row", "count", "seen", "hour"):
        op.drop_table(f"footprint_{name}_sum")
    op.execute("DELETE FROM meta WHERE key = 'sums'")
