"""What is watched: one list of alarms, which Prometheus keeps an eye on all the time and `langsense check` once."""
