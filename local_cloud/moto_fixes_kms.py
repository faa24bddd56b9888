"""What moto does otherwise than KMS. Applied with the other fixes, see `moto_fixes`."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from moto.kms.responses import KmsResponse
from moto.kms.utils import ECDSAPrivateKey

from local_cloud.moto_patching import replace

_DIGEST: ContextVar[bool] = ContextVar("digest", default=False)
# Of the algorithms this is the one that the stack uses.
_PREHASHED = {"ECDSA_SHA_256": ec.ECDSA(Prehashed(SHA256()))}


def sign_digests() -> None:
    """KMS: Sign and Verify take, by the MessageType DIGEST, what is hashed already. moto hashes it again.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
    """

    def make_call(original: Any) -> Any:
        def call(self: Any) -> Any:
            token = _DIGEST.set(self._get_param("MessageType") == "DIGEST")
            try:
                return original(self)
            finally:
                _DIGEST.reset(token)

        return call

    def make_sign(original: Any) -> Any:
        def sign(self: Any, message: bytes, signing_algorithm: str) -> bytes:
            if not _DIGEST.get():
                return original(self, message, signing_algorithm)
            return self.private_key.sign(message, _PREHASHED[signing_algorithm])

        return sign

    def make_verify(original: Any) -> Any:
        def verify(self: Any, message: bytes, signature: bytes, signing_algorithm: str) -> bool:
            if not _DIGEST.get():
                return original(self, message, signature, signing_algorithm)
            try:
                self.private_key.public_key().verify(signature, message, _PREHASHED[signing_algorithm])
            except InvalidSignature:
                return False
            return True

        return verify

    for name in ("sign", "verify"):
        replace(KmsResponse, name, make_call)
    replace(ECDSAPrivateKey, "sign", make_sign)
    replace(ECDSAPrivateKey, "verify", make_verify)


FIXES: tuple[Callable[[], None], ...] = (sign_digests,)
