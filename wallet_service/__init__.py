"""The wallet: the only owner of money.

Owns: the journal (`transactions`), accounts, holds, rollbacks, lanes.
Hears: `wallet.commands.v1`.
Says: `ledger.events.v1` (every decision, in lane order) and `wallet.replies.v1` (to whoever asked).
"""
