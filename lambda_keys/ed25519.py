"""Whether 32 bytes are an Ed25519 public key, by the arithmetic of RFC 8032, section 5.1. Nothing here is secret.

A point of small order would be no key at all: signatures that anyone can write down hold against it. Every generator of keys
gives a point of the large group of prime order, so that no other is taken.
"""

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)

BYTES = 32

# Extended homogeneous coordinates: x = X/Z, y = Y/Z, x * y = T/Z.
_Point = tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)


def is_public_key(data: bytes) -> bool:
    """Whether these are the canonical bytes of a point of the group of prime order, but not of its neutral element."""
    point = _decoded(data)
    return point is not None and not _is_neutral(point) and _is_neutral(_times(_ORDER, point))


def _decoded(data: bytes) -> _Point | None:
    """The point that these bytes encode: section 5.1.3, but for the second spelling of two points of small order."""
    if len(data) != BYTES:
        return None
    encoded = int.from_bytes(data, "little")
    y, sign = encoded & (1 << 255) - 1, encoded >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _SQRT_OF_MINUS_1 % _P
    if x * x % _P != square:
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(left: _Point, right: _Point) -> _Point:
    """Section 5.1.4. It doubles as well."""
    a = (left[1] - left[0]) * (right[1] - right[0])
    b = (left[1] + left[0]) * (right[1] + right[0])
    c = 2 * left[3] * right[3] * _D
    d = 2 * left[2] * right[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: _Point) -> _Point:
    total = _NEUTRAL
    while factor:
        if factor & 1:
            total = _add(total, point)
        point = _add(point, point)
        factor >>= 1
    return total


def _is_neutral(point: _Point) -> bool:
    x, y, z, _ = point
    return x % _P == 0 and (y - z) % _P == 0
