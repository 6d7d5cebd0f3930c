"""All of the compliance service's SQL."""
