"""The compliance service's tables: none yet."""

from sqlalchemy import MetaData

SCHEMA = "compliance"

metadata = MetaData(schema=SCHEMA)
