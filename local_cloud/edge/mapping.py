"""Mapping expressions: where the value of a mapped parameter comes from.

https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
"""

from typing import NamedTuple
from urllib.parse import parse_qsl

from local_cloud.edge.exchange import Exchange, check_variable
from local_cloud.edge.interpret import Uninterpretable, require

METHOD_REQUEST = ("header", "path", "querystring")


class Source(NamedTuple):
    """``kind`` is literal, context, header, path or querystring."""

    kind: str
    name: str

    def resolve(self, exchange: Exchange) -> str | None:
        """The value for this request; None when it has none. A path parameter stays percent-encoded."""
        match self.kind:
            case "literal":
                return self.name
            case "context":
                return exchange.variable(self.name)
            case "header":
                return exchange.header(self.name)
            case "path":
                return exchange.path_parameters.get(self.name)
            case _:
                return dict(parse_qsl(exchange.query, keep_blank_values=True)).get(self.name)


def source(expression: str, where: str) -> Source:
    """Parses the right side of a mapping. Raises Uninterpretable; ``where`` says which mapping it is."""
    if len(expression) >= 2 and expression[0] == expression[-1] == "'":
        return Source("literal", expression[1:-1])
    if expression.startswith("context."):
        name = expression.removeprefix("context.")
        check_variable(name, where)
        return Source("context", name)
    return Source(*request_parameter(expression, where))


def request_parameter(expression: str, where: str) -> tuple[str, str]:
    """Splits ``method.request.<location>.<name>``. Raises Uninterpretable."""
    match expression.split(".", 3):
        case ["method", "request", location, name] if location in METHOD_REQUEST and name:
            return location, name
    raise Uninterpretable(f"{where} uses {expression}, which the local edge does not know.")


def target(expression: str, prefix: str, where: str) -> tuple[str, str]:
    """Splits the left side of a mapping, ``<prefix>.<location>.<name>``. Raises Uninterpretable."""
    require(expression.startswith(prefix + "."), f"{where} maps {expression}, which the local edge does not know.")
    location, _, name = expression.removeprefix(prefix + ".").partition(".")
    require(location in METHOD_REQUEST and name, f"{where} maps {expression}, which the local edge does not know.")
    return location, name
