"""Fraud: how fast each player bets.

Owns: bets per player and minute (`bet_minutes`), the players that the ledger has named.
Hears: `ledger.events.v1`.
Says: nothing yet.
"""
