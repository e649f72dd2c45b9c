"""Energy by hour of the organisation's days, for calendars; the next ``footprint aggregate`` rebuilds all roll-ups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footprint.storage.migrations.columns import big

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Forwards; there is no way back, for a figure is never taken from an older schema."""
    keys = ("level", "start", "host_id", "service_id", "use_case_id", "model_id")
    op.create_table(
        "footprint_hour_sum",
        *(big(name) for name in keys),
        *(big(f"h{hour:02}", nullable=True) for hour in range(24)),
        sa.PrimaryKeyConstraint(*keys),
        sqlite_with_rowid=False,
    )
    op.execute("DELETE FROM meta WHERE key = 'sums'")
