"""Against `cryptography`, and against the points that are no keys."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lambda_keys import ed25519

P = 2**255 - 19
# All points of order 1, 2, 4 and 8, as RFC 7748's and libsodium's lists have them: y, with either sign.
Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
SMALL = [1, P - 1, 0, Y_OF_ORDER_8, P - Y_OF_ORDER_8]


def encoded(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def test_keys_are_keys() -> None:
    for _ in range(50):
        assert ed25519.is_public_key(Ed25519PrivateKey.generate().public_key().public_bytes_raw())


def test_the_first_key_of_rfc_8032_is_one() -> None:
    assert ed25519.is_public_key(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", SMALL)
def test_a_point_of_small_order_is_none(y: int, sign: int) -> None:
    assert not ed25519.is_public_key(encoded(y, sign))


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [P, P + 1, P + 3, 2**255 - 1])
def test_a_second_spelling_of_a_point_is_none(y: int, sign: int) -> None:
    assert ed25519._decoded(encoded(y, sign)) is None
    assert not ed25519.is_public_key(encoded(y, sign))


def test_a_key_with_a_part_of_small_order_is_none() -> None:
    data = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    point, of_order_2 = ed25519._decoded(data), ed25519._decoded(encoded(P - 1))
    assert point is not None and of_order_2 is not None  # noqa: PT018
    x, y, z, _ = ed25519._add(point, of_order_2)
    x, y = x * pow(z, -1, P) % P, y * pow(z, -1, P) % P
    mixed = encoded(y, x & 1)
    Ed25519PublicKey.from_public_bytes(mixed)  # a point, and so a key to others
    assert not ed25519.is_public_key(mixed)


def test_what_is_no_point_is_none() -> None:
    """Half of all texts of 32 bytes are none: y has no x."""
    refused = [y for y in range(2, 40) if not ed25519.is_public_key(encoded(y))]
    assert refused
    d = -121665 * pow(121666, -1, P) % P
    for y in range(2, 40):
        square = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
        if pow(square, (P - 1) // 2, P) == P - 1:
            assert y in refused


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), bytes(64)])
def test_another_length_is_none(data: bytes) -> None:
    assert not ed25519.is_public_key(data)
