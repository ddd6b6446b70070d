"""What people call a project and an environment, beside their keys."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, empty: no row is touched, however many there are."""
    for name in ("project_name", "environment_name"):
        op.add_column("event", sa.Column(name, sa.String))
