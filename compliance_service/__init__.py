"""Compliance: the audit log, and audits of how players are protected.

Owns: the audit log and its checkpoints; what the ledger says of tiers, exclusions, limit changes and deposits.
Hears: `ledger.events.v1`.
Says: nothing yet.
"""
