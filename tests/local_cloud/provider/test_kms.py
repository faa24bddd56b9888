from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from local_cloud.provider.framework import FUNCTIONS, Refused

KEY, PUBLIC_KEY = "aws:kms/key:Key", "aws:kms/getPublicKey:getPublicKey"
SIGNING = {"keyUsage": "SIGN_VERIFY", "customerMasterKeySpec": "ECC_NIST_P256"}


def test_a_signing_key_signs_and_its_public_key_verifies(make: Callable[..., Any], cloud: Any) -> None:
    key = make(KEY, description="Seals", **SIGNING)
    assert key.drift() == {}
    key.update(description="Seals of the audit records")
    assert key.drift() == {}
    told = FUNCTIONS[PUBLIC_KEY].invoke(cloud, {"keyId": key.state["arn"]})
    public = load_pem_public_key(told["publicKeyPem"].encode())
    digest = {"Message": sha256(b"text").digest(), "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = cloud.client("kms").sign(KeyId=key.id, **digest)["Signature"]
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, b"text", ec.ECDSA(SHA256()))


def test_a_key_of_another_kind_is_another_key_and_does_not_rotate(make: Callable[..., Any]) -> None:
    key = make(KEY)
    assert key.handler.replaces == {"keyUsage", "customerMasterKeySpec"}
    with pytest.raises(AssertionError, match="KMS rotates no key of another kind"):
        make(KEY, enableKeyRotation=True, **SIGNING)


def test_there_is_no_public_key_of_what_is_no_key(cloud: Any) -> None:
    with pytest.raises(Refused, match="there is no key"):
        FUNCTIONS[PUBLIC_KEY].invoke(cloud, {"keyId": "5b7c0f1e-0000-0000-0000-000000000000"})
