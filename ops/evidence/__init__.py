"""An evidence pack: what a regulator is given of one player, or of a period, as one zip that verifies by itself.

receipts.jsonl     a journal row a line, with its Merkle proof and its signed checkpoint, as a transaction's receipt
unsealed.jsonl     rows that were not under a checkpoint yet
audit.jsonl        an entry of the audit log a line, with what its checksum covers, its proof and its checkpoint
page.html          the same to read
public_keys.json   a JWK set, for convenience: an auditor brings one that it trusts
manifest.json      what was asked for, each file's SHA-256 and lines, and a signature over all of that

Of a player it has all journal rows; of a period the limit changes, exclusions, tiers and refusals.
"""
