"""All of the fraud service's SQL."""
