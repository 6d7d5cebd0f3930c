"""Payments: deposits and withdrawals through providers, webhooks, the kill switch and its queue, settlement.

Owns: payments and how they moved, what providers said of them, availability, approvals, settlement batches and their
exceptions.
Hears: ledger.events.v1, for settlement and the closed loop.
Says: payments.events.v1; wallet.commands.v1 for each step of a payment.
"""
