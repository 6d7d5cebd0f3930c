"""The payments service's tables: none yet."""

from sqlalchemy import MetaData

SCHEMA = "payments"

metadata = MetaData(schema=SCHEMA)
