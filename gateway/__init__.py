"""The gateway: the only public door.

Owns: nothing that a restart may lose; for a while it remembers who waits for which decision.
Hears: `wallet.replies.v1` (one partition of it, the one that it names in `reply-to`).
Says: `wallet.commands.v1`. Reads go over HTTP to the service that owns the answer.
"""
