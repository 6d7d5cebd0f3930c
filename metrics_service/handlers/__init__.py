"""Kafka in, and what the service does by itself: closing days, sending reports."""
