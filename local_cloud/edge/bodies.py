"""Request validation: a JSON body against the model of its method.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
"""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError

from local_cloud.edge.interpret import Uninterpretable, require

DRAFT = "http://json-schema.org/draft-04/schema#"
DEFAULT, JSON = "$default", "application/json"


class Bodies:
    """The models of a method by content type. ``what`` names it, ``schemas`` holds the JSON texts. Raises Uninterpretable."""

    def __init__(self, what: str, schemas: Mapping[str, str]) -> None:
        self._validators = {content_type: _validator(what, text) for content_type, text in schemas.items()}

    def accept(self, content_type: str | None, body: bytes) -> bool:
        """Whether the body is what the model of its type asks for. One that has no model for its type is not validated."""
        kind = (content_type or JSON).split(";")[0].strip().lower()
        validator = self._validators.get(kind) or self._validators.get(DEFAULT)
        if validator is None:
            return True
        try:
            # An empty body counts as an empty object.
            value = json.loads(body.decode("utf-8") or "{}", parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return False
        return validator.is_valid(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _validator(what: str, text: str) -> Draft4Validator:
    schema = json.loads(text)
    require(schema.get("$schema", DRAFT) == DRAFT, f"{what} has a model that is not of JSON Schema draft 4.")
    try:
        Draft4Validator.check_schema(schema)
    except SchemaError:
        raise Uninterpretable(f"{what} has a model that is no JSON Schema.") from None
    return Draft4Validator(schema)
