"""The wallet: the only owner of money.

Owns: the journal (`transactions`), its checkpoints, accounts, holds, rollbacks, lanes, records of reconciliations.
Hears: `wallet.commands.v1`.
Says: `ledger.events.v1` (every decision, in lane order) `wallet.replies.v1` (to whoever asked),
`ledger.checkpoints.v1` (signed roots over the journal).
"""
