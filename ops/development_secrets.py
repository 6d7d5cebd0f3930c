"""Secrets for a development platform: made at random, once, one file each, readable by their owner alone.

A production platform gets its secrets from its operator, under the same names.
"""

import json
import os
import secrets
from pathlib import Path

from ops import development_certificates
from ops.access import SIGNING_KEY
from ops.administrator import POSTGRES_PASSWORD
from ops.provision import SCHEMAS
from shared import clock, tokens

JWKS = "jwks.json"
SANDBOX_CERTIFICATE_KEY = "sandbox_certificate_key"
# The name in the certificate that the sandbox signs webhooks with.
SANDBOX_SUBJECT = "sandbox.langsense.internal"


def ensure(folder: Path) -> None:
    """Make whatever is missing in the folder; leave what is there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _once(folder / "internal_api_token", secrets.token_urlsafe(32))
    _once(folder / "chain_keys", f"k1:{secrets.token_hex(32)}")
    _once(folder / "checkpoint_keys", f"s1:{secrets.token_hex(32)}")
    _once(folder / "audit_keys", f"a1:{secrets.token_hex(32)}")
    _once(folder / "audit_signing_keys", f"b1:{secrets.token_hex(32)}")
    _once(folder / "regulatory_keys", f"p1:{secrets.token_hex(32)}")
    _once(folder / "report_keys", f"r1:{secrets.token_hex(32)}")
    _once(folder / "kyc_keys", f"e1:{secrets.token_hex(32)}")
    _once(folder / "kyc_index_keys", f"i1:{secrets.token_hex(32)}")
    _once(folder / "sandbox_api_token", secrets.token_urlsafe(32))
    _once(folder / "sandbox_webhook_secret", f"whsec_{secrets.token_urlsafe(32)}")
    _once(folder / POSTGRES_PASSWORD, secrets.token_urlsafe(24))
    for role in SCHEMAS:
        _once(folder / password_file(role), secrets.token_urlsafe(24))
    if not (folder / SIGNING_KEY).exists():
        private, public = tokens.generate_keys()
        _once(folder / JWKS, json.dumps(public))
        _once(folder / SIGNING_KEY, json.dumps(private))
    if not (folder / SANDBOX_CERTIFICATE_KEY).exists():
        made = development_certificates.make(SANDBOX_SUBJECT, clock.utc_now())
        write(folder, "sandbox_authority", made.authority)
        write(folder, "sandbox_certificate", made.certificate)
        # The last, so that what was broken off is made anew.
        write(folder, SANDBOX_CERTIFICATE_KEY, made.key)


def password_file(role: str) -> str:
    """The name of the file that holds a service role's password."""
    return f"{role}_password"


def read(folder: Path, name: str) -> str:
    """One secret."""
    return (folder / name).read_text().strip()


def write(folder: Path, name: str, value: str) -> None:
    """Set one secret."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(value)


def _once(path: Path, value: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(value)
