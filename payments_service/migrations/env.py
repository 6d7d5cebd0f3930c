"""What alembic runs for each of this service's migrations."""

from payments_service.tables import metadata
from shared import migrations

migrations.run(metadata)
