"""Payments: deposits, withdrawals, settlement.

Owns: its schema, which has no table yet.
Hears: nothing yet.
Says: nothing yet.
"""
