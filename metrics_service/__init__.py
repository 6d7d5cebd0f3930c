"""Metrics: what happened by day and hour, in figures that finance can recompute from the journal, and reports.

Owns: totals per day and hour, who played, what is owed to players, providers' fees; closed days and what was restated
of them; which reports were sent.
Hears: `ledger.events.v1`, `payments.events.v1`.
Says: `metrics.events.v1`.
"""
