"""Compliance: KYC, exclusions, play, the audit log, and audits of how players are protected.

Owns: each player's KYC, encrypted, and its state; exclusions and incidents; sessions of play and what players set of
them; the audit log and its checkpoints; what the ledger says of tiers, exclusions, limit changes and deposits.
Hears: `ledger.events.v1`; KYC providers' webhooks, through the gateway.
Says: `compliance.events.v1`, and commands to the wallet: tiers, exclusions and their ends.
"""
