"""Metrics: what happened per day, in figures that finance can recompute from the journal.

Owns: totals per day, currency, kind, status and reason (`daily_totals`).
Hears: `ledger.events.v1`.
Says: nothing.
"""
