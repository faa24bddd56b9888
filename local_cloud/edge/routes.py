"""Which method of the REST API a request is for.

A path matches segment by segment as it was sent: an encoded slash does not separate segments, a fixed segment goes before a
parameter, one slash at the end is overlooked. Dot segments, empty segments and bytes that are not UTF-8 match nothing.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from local_cloud.edge.interpret import require
from local_cloud.edge.rest_api import Method

# RFC 3986, 3.3: pchar, percent-encoding included.
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
_PARAMETER = re.compile(r"\{([A-Za-z0-9._-]+)\}")


class Match(NamedTuple):
    """``parameters`` are percent-encoded, as they were sent."""

    method: Method
    parameters: dict[str, str]


class Routes:
    """The methods of a REST API by path. Raises Uninterpretable for a resource that takes more than one segment."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._routes: list[tuple[list[str], Method]] = []
        for method in methods:
            template = _split(method.resource)
            for segment in template:
                plain = "{" not in segment or _PARAMETER.fullmatch(segment)
                require(plain, f"The resource {method.resource} has the segment {segment}, which the local edge does not match.")
            self._routes.append((template, method))
        self._routes.sort(key=lambda route: [_is_parameter(segment) for segment in route[0]])

    def match(self, http_method: str, path: str) -> Match | None:
        """The method for the request; None when there is none."""
        segments = _split(path)
        if not path.startswith("/") or not all(map(_acceptable, segments)):
            return None
        for template, method in self._routes:
            if method.http_method == http_method and _fits(template, segments):
                pairs = zip(template, segments, strict=True)
                return Match(method, {name[1:-1]: value for name, value in pairs if _is_parameter(name)})
        return None


def _split(path: str) -> list[str]:
    if path == "/":
        return []
    return path.removeprefix("/").removesuffix("/").split("/")


def _acceptable(segment: str) -> bool:
    if not _SEGMENT.fullmatch(segment):
        return False
    try:
        return unquote(segment, errors="strict") not in (".", "..")
    except UnicodeDecodeError:
        return False


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def _fits(template: list[str], segments: list[str]) -> bool:
    return len(template) == len(segments) and all(
        _is_parameter(expected) or expected == segment for expected, segment in zip(template, segments, strict=True)
    )
