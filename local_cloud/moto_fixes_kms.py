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

    for name in ("sign", "verify"):
        replace(KmsResponse, name, make_call)
    replace(ECDSAPrivateKey, "sign", lambda original: lambda *asked: _sign(original, *asked))
    replace(ECDSAPrivateKey, "verify", lambda original: lambda *asked: _verify(original, *asked))


def _sign(original: Any, key: Any, message: bytes, algorithm: str) -> bytes:
    return key.private_key.sign(message, _PREHASHED[algorithm]) if _DIGEST.get() else original(key, message, algorithm)


def _verify(original: Any, key: Any, message: bytes, signature: bytes, algorithm: str) -> bool:
    if not _DIGEST.get():
        return original(key, message, signature, algorithm)
    try:
        key.private_key.public_key().verify(signature, message, _PREHASHED[algorithm])
    except InvalidSignature:
        return False
    return True


FIXES: tuple[Callable[[], None], ...] = (sign_digests,)
