"""Signatures as Stripe and as PayPal make them, written from their documentation: no code of the platform's."""

import hashlib
import hmac
import zlib
from base64 import b64encode
from datetime import datetime
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.errors import ConfigurationError

CERTIFICATE_PATH = "/certificates/sandbox.pem"


class Signer:
    """Signs in either form."""

    def __init__(self, secret: str, key_pem: str, webhook_id: str, url: str) -> None:
        key = load_pem_private_key(key_pem.encode(), None)
        if not isinstance(key, RSAPrivateKey):
            raise ConfigurationError("SANDBOX_CERTIFICATE_KEY must be an RSA key")
        self._secret = secret
        self._key = key
        self._webhook_id = webhook_id
        self._certificate_url = url.rstrip("/") + CERTIFICATE_PATH

    def as_stripe(self, body: bytes, now: datetime) -> dict[str, str]:
        """Stripe's header."""
        timestamp = int(now.timestamp())
        signature = hmac.new(self._secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={timestamp},v1={signature}"}

    def as_paypal(self, body: bytes, now: datetime) -> dict[str, str]:
        """PayPal's headers."""
        transmission_id, time = str(uuid4()), now.strftime("%Y-%m-%dT%H:%M:%SZ")
        text = f"{transmission_id}|{time}|{self._webhook_id}|{zlib.crc32(body)}"
        return {
            "PayPal-Transmission-Id": transmission_id,
            "PayPal-Transmission-Time": time,
            "PayPal-Transmission-Sig": b64encode(self._key.sign(text.encode(), PKCS1v15(), SHA256())).decode(),
            "PayPal-Cert-Url": self._certificate_url,
            "PayPal-Auth-Algo": "SHA256withRSA",
        }
