"""alembic's entry: runs the wallet's migrations."""

from shared import migrations
from wallet_service.tables import metadata

migrations.run(metadata)
