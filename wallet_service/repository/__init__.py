"""All SQL of the wallet. Batches are loaded and saved with a fixed number of set-based statements."""

from wallet_service.repository.auditing import Audits, audited_balances, audited_rows
from wallet_service.repository.loading import load, look
from wallet_service.repository.reads import LaneMark, Reads
from wallet_service.repository.saving import Offsets, save
from wallet_service.repository.sealing import SealMark, Seals, load_due, save_checkpoint

__all__ = [
    "Audits",
    "LaneMark",
    "Offsets",
    "Reads",
    "SealMark",
    "Seals",
    "audited_balances",
    "audited_rows",
    "load",
    "load_due",
    "look",
    "save",
    "save_checkpoint",
]
