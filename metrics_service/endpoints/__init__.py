"""HTTP in: figures and reports, for the platform's own services alone."""
