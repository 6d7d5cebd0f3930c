"""The wallet's keys: the chain's HMAC keys, and the checkpoints' signing keys."""

from dataclasses import dataclass

from shared.checkpoints import SigningKeys
from shared.signing import ChainKeys


@dataclass(slots=True)
class Keyring:
    """Both sets of keys, as they are now."""

    chain: ChainKeys
    signing: SigningKeys

    @classmethod
    def parse(cls, chain_keys: str, checkpoint_keys: str) -> "Keyring":
        """From the settings' texts. Raises ConfigurationError."""
        return cls(ChainKeys.parse(chain_keys), SigningKeys.parse(checkpoint_keys))
