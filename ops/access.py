"""Development tokens."""

import json

from ops.places import Places
from shared import tokens
from shared.errors import ConfigurationError

SIGNING_KEY = "development_signing_key"


def token(found: Places, role: str, user_id: int | None) -> str:
    """A development token. Raises ConfigurationError for a platform that has no development key."""
    key = found.secrets_dir / SIGNING_KEY
    if not key.is_file():
        raise ConfigurationError(f"no development key in {found.secrets_dir}; tokens come from your identity provider")
    subject = str(user_id) if user_id is not None else f"{role}-development"
    return tokens.issue(json.loads(key.read_text()), role=role, subject=subject, user_id=user_id, lifetime_s=12 * 3600)
