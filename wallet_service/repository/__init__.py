"""All SQL of the wallet. Batches are loaded and saved with a fixed number of set-based statements."""

from wallet_service.repository.auditing import Audits, audited_balances, audited_rows
from wallet_service.repository.integrity import Integrity
from wallet_service.repository.loading import load, look
from wallet_service.repository.reads import LaneMark, Reads
from wallet_service.repository.reconciliations import Reconciliations, lock_taken, save_outcome
from wallet_service.repository.reconciling import reconcile
from wallet_service.repository.saving import Offsets, save
from wallet_service.repository.sealing import SealMark, Seals, load_due, save_checkpoint
from wallet_service.repository.standings import Standings

__all__ = [
    "Audits",
    "Integrity",
    "LaneMark",
    "Offsets",
    "Reads",
    "Reconciliations",
    "SealMark",
    "Seals",
    "Standings",
    "audited_balances",
    "audited_rows",
    "load",
    "load_due",
    "lock_taken",
    "look",
    "reconcile",
    "save",
    "save_checkpoint",
    "save_outcome",
]
