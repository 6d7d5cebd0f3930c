"""All SQL of the wallet. Batches are loaded and saved with a fixed number of set-based statements."""

from wallet_service.repository.loading import load
from wallet_service.repository.reads import LaneMark, Reads
from wallet_service.repository.saving import Offsets, save

__all__ = ["LaneMark", "Offsets", "Reads", "load", "save"]
