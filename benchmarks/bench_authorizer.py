"""What a decision of the authorizer costs, as ratios in one run: machines differ and are noisy, ratios hold.

    make bench

RAW is one RSA-2048 PKCS1v15-SHA256 verification with `cryptography`, the work that no RS256 verifier can do without. REF is the
start of an interpreter that imports json, logging, traceback and what `cryptography` needs for RAW.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_benchmark"
CLIENT, KID = "benchmark-client", "benchmark-key"
REQUEST_ID = "0f9f1d1c-2f0b-4a53-9a38-6a4d0a3d7c11"
WARM, ROUNDS = 300, 15
COLD = 9

REFERENCE = """
import json, logging, traceback
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
"""
FIRST_DECISION = "import json, sys\nfrom lambda_authorizer.handler import handler\nhandler(json.load(sys.stdin), None)"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def environment(directory: Path, key: rsa.RSAPrivateKey) -> dict[str, str]:
    """The variables of a configured authorizer, with its key set and its secrets in files."""
    numbers = key.public_key().public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    public = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": KID,
        "n": b64(numbers.n.to_bytes(size)),
        "e": b64(b"\x01\x00\x01"),
    }
    (directory / "jwks.json").write_text(json.dumps({"keys": [public]}))
    secret = base64.b64encode(os.urandom(32)).decode()
    secrets = {"api_key_pepper": secret, "assertion_keys": {"k1": secret}, "current_assertion_key": "k1"}
    (directory / "secrets.json").write_text(json.dumps(secrets))
    return {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_ISSUERS": ISSUER,
        "HEARTMAP_CLIENT_IDS": CLIENT,
        "HEARTMAP_JWKS_FILE": str(directory / "jwks.json"),
        "HEARTMAP_SECRETS_FILE": str(directory / "secrets.json"),
    }


def token(key: rsa.RSAPrivateKey, number: int) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "client_id": CLIENT,
        "token_use": "access",
        "sub": f"person-{number}",
        "jti": f"{number}",
        "iat": now,
        "auth_time": now,
        "exp": now + 3600,
        "cognito:groups": ["analyst"],
        "scope": "openid",
        "version": 2,
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": KID})


def event(credential: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {credential}", "Host": "api.example.org", "User-Agent": "benchmark"}
    return {
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/live/GET/models",
        "resource": "/models",
        "path": "/models",
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "pathParameters": None,
        "requestContext": {
            "requestId": REQUEST_ID,
            "stage": "live",
            "apiId": "abcdef1234",
            "accountId": "123456789012",
            "httpMethod": "GET",
            "resourcePath": "/models",
            "path": "/live/models",
            "identity": {"sourceIp": "192.0.2.1"},
        },
    }


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def warm(key: rsa.RSAPrivateKey) -> dict[str, float]:
    """Medians of rounds in which each contender takes its turn: a decision's time as a multiple of RAW."""
    from lambda_authorizer.handler import handler

    public = key.public_key()
    message = b"x" * 700
    signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    ratios: dict[str, list[float]] = {"whole handler, new token": [], "PyJWT with a key object, token alone": []}
    for turn in range(ROUNDS):
        tokens = [token(key, turn * WARM + number) for number in range(WARM)]
        events = [event(each) for each in tokens]
        raw = seconds(lambda: [public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256()) for _ in range(WARM)])
        # The audit lines are part of the work, but not of this program's output.
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            decided = seconds(lambda events=events: [handler(each, None) for each in events])
        pyjwt = seconds(lambda tokens=tokens: [jwt.decode(each, public, algorithms=["RS256"], issuer=ISSUER) for each in tokens])
        ratios["whole handler, new token"].append(decided / raw)
        ratios["PyJWT with a key object, token alone"].append(pyjwt / raw)
    return {name: statistics.median(values) for name, values in ratios.items()}


def cold(key: rsa.RSAPrivateKey, variables: dict[str, str]) -> float:
    """CPU time of a fresh interpreter up to its first decision, as a multiple of REF."""
    text = json.dumps(event(token(key, 0)))

    def cpu(program: str) -> float:
        before = os.times()
        command = [sys.executable, "-c", program]
        subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **variables})
        after = os.times()
        return (after.children_user + after.children_system) - (before.children_user + before.children_system)

    pairs = [(cpu(FIRST_DECISION), cpu(REFERENCE)) for _ in range(COLD)]
    return statistics.median(first / reference for first, reference in pairs)


def main() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with tempfile.TemporaryDirectory() as directory:
        variables = environment(Path(directory), key)
        os.environ.update(variables)
        print("Authorizer, warm, x RAW (one RSA-2048 verification)")
        for name, ratio in warm(key).items():
            print(f"  {name:40} {ratio:6.2f}")
        print("Authorizer, cold, x REF (imports of an RSA verifier, CPU time)")
        print(f"  {'import and first decision':40} {cold(key, variables):6.2f}")


if __name__ == "__main__":
    main()
