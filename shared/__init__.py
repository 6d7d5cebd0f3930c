"""What every service stands on: contracts, money, errors, settings, the broker, the database. Knows no service."""
