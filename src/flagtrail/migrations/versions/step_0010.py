"""In PostgreSQL the indexes of values hold a number for each in place of its text: half of what they took.

`hashtext` is what PostgreSQL's own hash indexes of texts are made of, so what it gives stays.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

VALUES = {
    "project": "project",
    "environment": "environment",
    "action": "action",
    "object_kind": "object_kind",
    "actor_kind": "actor_kind",
    "actor": "coalesce(actor_email, actor_id, actor_name)",
    "object": "coalesce(object_key, object_name)",
}


def upgrade() -> None:
    """Make those indexes anew; and let PostgreSQL see how frequent words are: the last step left it nothing of that."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for name, value in VALUES.items():
        op.execute(f"DROP INDEX search_{name}")
        op.execute(f"CREATE INDEX search_{name} ON event (hashtext(lower({value})), occurred_at)")
    op.execute("ANALYZE event")
