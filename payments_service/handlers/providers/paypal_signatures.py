"""Who signed a PayPal webhook: RSA-SHA256 over its id, its time, our webhook's id and the body's CRC32.

The certificate is fetched from where the webhook says, which must be a place of PayPal's, and has to be PayPal's own
by its chain.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import httpx2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from payments_service.handlers.providers import reading
from shared.errors import ServiceUnavailable, Unauthenticated

ID, TIME, SIGNATURE = "PayPal-Transmission-Id", "PayPal-Transmission-Time", "PayPal-Transmission-Sig"
CERTIFICATE_URL, ALGORITHM = "PayPal-Cert-Url", "PayPal-Auth-Algo"
# What the API's own check calls them.
FIELDS = {
    ALGORITHM: "auth_algo",
    CERTIFICATE_URL: "cert_url",
    ID: "transmission_id",
    SIGNATURE: "transmission_sig",
    TIME: "transmission_time",
}
SHA256_WITH_RSA = "SHA256withRSA"

MAX_CERTIFICATE_BYTES = 64 * 1024
_MAX_CHAIN = 4
# The URLs come from outside; a forged one must not fill the memory.
_MAX_KNOWN = 16


class Trust(NamedTuple):
    """Whom to believe: the roots, the name in the certificate, and which URLs a certificate may come from."""

    roots: Sequence[x509.Certificate]
    subject: str
    allows: Callable[[httpx2.URL], bool]


class NotTrusted(Unauthenticated):
    """The certificate cannot be shown to be PayPal's. Its API may still know."""


def at_paypal(url: httpx2.URL) -> bool:
    """Whether a URL is a place of PayPal's, and plainly so."""
    plain = url.scheme == "https" and url.port in (None, 443) and not url.userinfo and not url.query
    return plain and (url.host == "paypal.com" or url.host.endswith(".paypal.com"))


def signed_text(transmission_id: str, time: str, webhook_id: str, body: bytes) -> bytes:
    """What is signed."""
    return f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()


class Verifier:
    """Checks signatures; keeps the keys of the certificates that it found good until these expire."""

    def __init__(self, client: httpx2.AsyncClient, trust: Trust, webhook_ids: Sequence[str]) -> None:
        self._client = client
        self._trust = trust
        self._webhook_ids = tuple(webhook_ids)
        self._known: dict[str, tuple[RSAPublicKey, datetime]] = {}

    async def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raise OversizedWebhook, Unauthenticated for what PayPal did not sign within the window, NotTrusted,
        or ServiceUnavailable where the certificate cannot be had.
        """
        reading.bounded(body)
        if reading.header(headers, ALGORITHM) != SHA256_WITH_RSA:
            raise Unauthenticated(f"{ALGORITHM} must be {SHA256_WITH_RSA}")
        transmission_id, time = reading.header(headers, ID), reading.header(headers, TIME)
        reading.in_window(_moment(time), now, TIME)
        signature = _signature(reading.header(headers, SIGNATURE))
        key = await self._key(reading.header(headers, CERTIFICATE_URL), now)
        texts = [signed_text(transmission_id, time, webhook_id, body) for webhook_id in self._webhook_ids]
        if not any(_signed(key, signature, text) for text in texts):
            raise Unauthenticated(f"{SIGNATURE} is not PayPal's over this body")

    async def _key(self, location: str, now: datetime) -> RSAPublicKey:
        url = _url(location)
        if not self._trust.allows(url):
            raise Unauthenticated(f"{CERTIFICATE_URL} is no place of PayPal's")
        key, until = self._known.get(location, (None, now))
        if key is not None and now < until:
            return key
        chain = await self._fetch(url)
        key, until = checked(chain, self._trust, now)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[location] = key, until
        return key

    async def _fetch(self, url: httpx2.URL) -> list[x509.Certificate]:
        content = b""
        try:
            async with self._client.stream("GET", url, follow_redirects=False) as response:
                if response.status_code != httpx2.codes.OK:
                    raise ServiceUnavailable(f"the certificate's place answers {response.status_code}")
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > MAX_CERTIFICATE_BYTES:
                        raise NotTrusted("the certificate is too large")
        except httpx2.TransportError:
            raise ServiceUnavailable("the certificate's place does not answer") from None
        try:
            return x509.load_pem_x509_certificates(content)
        except (ValueError, x509.InvalidVersion):
            raise NotTrusted("what is at the certificate's place is none") from None


def checked(chain: Sequence[x509.Certificate], trust: Trust, now: datetime) -> tuple[RSAPublicKey, datetime]:
    """The key of the first certificate, and until when. Raises NotTrusted unless it leads to a root, now, by name."""
    leaf, *between = chain
    # The count of unused bits before a signature is not signed. RSA's are whole bytes: another count is a forged copy.
    if not all(each.public_bytes(Encoding.DER).endswith(b"\0" + each.signature) for each in chain):
        raise NotTrusted("a certificate's signature is not whole bytes")
    verifier = (
        PolicyBuilder()
        .store(Store(list(trust.roots)))
        .time(now)
        .max_chain_depth(_MAX_CHAIN)
        .build_server_verifier(x509.DNSName(trust.subject))
    )
    try:
        verifier.verify(leaf, between)
    except VerificationError:
        raise NotTrusted(f"the certificate is not {trust.subject}'s by its chain, or not valid now") from None
    key = leaf.public_key()
    if not isinstance(key, RSAPublicKey):
        raise NotTrusted("the certificate has no RSA key")
    return key, leaf.not_valid_after_utc


def _signed(key: RSAPublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _url(location: str) -> httpx2.URL:
    try:
        return httpx2.URL(location)
    except httpx2.InvalidURL:
        raise Unauthenticated(f"{CERTIFICATE_URL} is no URL") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unauthenticated(f"{TIME} must be a time of RFC 3339") from None
    if moment.tzinfo is None:
        raise Unauthenticated(f"{TIME} must have its offset")
    return moment


def _signature(text: str) -> bytes:
    try:
        found = b64decode(text, validate=True)
    except ValueError:
        raise Unauthenticated(f"{SIGNATURE} must be base64") from None
    # base64 has texts that differ and mean the same.
    if b64encode(found).decode() != text:
        raise Unauthenticated(f"{SIGNATURE} must be base64 as it is written")
    return found
