"""Kafka in, and what the service does by itself."""
