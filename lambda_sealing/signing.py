"""The signature on a seal: ECDSA on P-256 over its SHA-256, by a key that never leaves KMS.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

from hashlib import sha256
from typing import Any

ALGORITHM = "ECDSA_SHA_256"


class NotSigned(Exception):
    """The signature is none of the key's."""


class Signer:
    """One key of KMS. Every method raises what boto3 raises."""

    def __init__(self, kms: Any, key: str) -> None:
        self._kms = kms
        self.key = key

    def sign(self, text: str) -> bytes:
        """The signature, as DER has it."""
        return self._kms.sign(KeyId=self.key, **_of(text))["Signature"]

    def verify(self, text: str, signature: bytes) -> None:
        """Raises NotSigned."""
        try:
            valid = self._kms.verify(KeyId=self.key, Signature=signature, **_of(text))["SignatureValid"]
        except self._kms.exceptions.KMSInvalidSignatureException:
            valid = False
        if not valid:
            raise NotSigned


def _of(text: str) -> dict[str, Any]:
    # A digest: KMS takes no more than 4096 bytes of a message.
    return {"Message": sha256(text.encode("ascii")).digest(), "MessageType": "DIGEST", "SigningAlgorithm": ALGORITHM}
