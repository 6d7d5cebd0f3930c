"""HTTP in, for the platform's own services alone."""
