"""Days to be computed again, and what the days of a host were last compared under."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footprint.storage.migrations.columns import big, words

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Forwards; a store without the mark of a comparison has all its days compared by the next run."""
    op.create_table(
        "dirty_day",
        words("kind"),
        big("name_id"),
        big("day"),
        big("version"),
        big("since_us"),
        sa.PrimaryKeyConstraint("kind", "name_id", "day"),
    )
    op.create_table("compared_host", big("host_id"), words("state"), sa.PrimaryKeyConstraint("host_id"))
    # Of older rows the second reading is unknown: any further reading of such a day counts as one of its head.
    op.add_column("streamday", sa.Column("second_us", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("streamday", sa.Column("head", sa.BigInteger(), nullable=False, server_default="1"))
    op.add_column("serviceday", sa.Column("head", sa.BigInteger(), nullable=False, server_default="1"))
    op.execute("UPDATE streamday SET second_us = (day + 1) * 86400000000")
