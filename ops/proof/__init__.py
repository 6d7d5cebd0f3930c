"""The proof: what must hold of a ledger, checked against the database in one snapshot, or against an export.

It needs keys and the right to read; it changes nothing and trusts no service. `balances` looks at money, `walk` at one
lane's rows and checkpoints wherever they come from, `journal` at all lanes of a database, `export` at a folder, and
`audit` at the audit log.
"""

from ops.proof.audit import audited
from ops.proof.balances import conserved, derived, folded, heads, totals
from ops.proof.check import MAX_FINDINGS, Check, snapshot
from ops.proof.journal import Outside, chained

__all__ = [
    "MAX_FINDINGS",
    "Check",
    "Outside",
    "audited",
    "chained",
    "conserved",
    "derived",
    "folded",
    "heads",
    "snapshot",
    "totals",
]
