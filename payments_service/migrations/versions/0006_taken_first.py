"""A refund is taken from its player before it goes out, and given back where it does not."""

from uuid import uuid5

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE payments ADD COLUMN taken_at timestamptz")
    op.execute("COMMENT ON COLUMN payments.taken_at IS 'when the wallet took the money from the player'")
    # What took the money of a refund is known by its id, and was not kept.
    connection = op.get_bind()
    taken = sa.text("SELECT id FROM payments WHERE direction = 'refund' AND posted = 'taken_back' AND taken_by IS NULL")
    keep = sa.text("UPDATE payments SET taken_by = :by WHERE id = :id")
    if rows := [{"id": row.id, "by": uuid5(row.id, "refund")} for row in connection.execute(taken)]:
        connection.execute(keep, rows)


def downgrade() -> None:
    op.execute("ALTER TABLE payments DROP COLUMN taken_at")
