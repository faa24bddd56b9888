"""The JSON bodies of the routes as API Gateway's models: the service's own, in JSON Schema draft 4.

https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html. Where pydantic and draft 4 say the same
in different words this translates; what draft 4 cannot say stops the program, so that no rule is dropped in silence.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from heartmap_service.analyses import NewAnalysis, NewVisibility
from heartmap_service.configuration import ConfigChange
from heartmap_service.uploads import NewUpload, PartNumbers, SentParts

DRAFT = "http://json-schema.org/draft-04/schema#"

ANY_CONTENT_TYPE = "$default"
"""A body is validated whatever its Content-Type says: with a type of its own, another type would go round the model."""

BODIES: dict[tuple[str, str], type[BaseModel]] = {
    ("POST", "/config"): ConfigChange,
    ("POST", "/uploads"): NewUpload,
    ("POST", "/uploads/{upload_id}/parts"): PartNumbers,
    ("POST", "/uploads/{upload_id}/complete"): SentParts,
    ("POST", "/analyses"): NewAnalysis,
    ("PATCH", "/analyses/{analysis_id}"): NewVisibility,
}

# Words for readers; a default is nothing that a validator checks.
_LEFT_OUT = frozenset({"title", "description", "default", "$defs"})
_SAME = frozenset(
    {
        *("type", "enum", "required", "minimum", "maximum", "minLength", "maxLength", "pattern"),
        *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    }
)


class UntranslatableError(ValueError):
    """A model says what draft 4 of JSON Schema has no word for. The text names it."""


def schema(model: type[BaseModel]) -> str:
    """The model of a body as API Gateway takes it. Raises UntranslatableError."""
    given = model.model_json_schema()
    translated = {"$schema": DRAFT, "title": model.__name__} | _translated(given, given.get("$defs", {}))
    return json.dumps(translated, sort_keys=True, separators=(",", ":"))


def _translated(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in given:
        return _translated(definitions[given["$ref"].removeprefix("#/$defs/")], definitions)
    translated: dict[str, Any] = {}
    for word, value in given.items():
        match word:
            case "properties":
                translated[word] = {name: _translated(part, definitions) for name, part in value.items()}
            case "anyOf":
                translated[word] = [_translated(part, definitions) for part in value]
            case "items" | "additionalProperties":
                translated[word] = value if isinstance(value, bool) else _translated(value, definitions)
            case "const":
                translated["enum"] = [value]
            case _ if word in _SAME:
                translated[word] = value
            case _ if word not in _LEFT_OUT:
                raise UntranslatableError(f"JSON Schema draft 4, which API Gateway takes, has no {word!r}")
    return translated
