"""HTTP in, for the world outside: `/api/v1`, and the documents beside it."""

API = "/api/v1"
