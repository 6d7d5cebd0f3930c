"""All SQL of the payments service."""
