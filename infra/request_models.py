"""The JSON bodies of the routes as API Gateway's models, in JSON Schema draft 4: the service's, and those of keys and users.

https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html. Where pydantic and draft 4 say the same
in different words this translates; what draft 4 cannot say stops the program, so that no rule is dropped in silence.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from heartmap_service.analyses import NewAnalysis
from heartmap_service.configuration import ConfigChange
from heartmap_service.uploads import NewUpload, PartNumbers, SentParts
from heartmap_service.visibility import NewVisibility
from lambda_authorizer.access_policy import SCOPES
from lambda_keys import bodies
from lambda_users import bodies as user_bodies

DRAFT = "http://json-schema.org/draft-04/schema#"

ANY_CONTENT_TYPE = "$default"
"""A body is validated whatever its Content-Type says: with a type of its own, another type would go round the model."""

_Scope = Annotated[str, Field(json_schema_extra={"enum": [*sorted(SCOPES)]})]
_SigningKey = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{43}$")]
# A member may be missing, and is not null.
_Missing = SkipJsonSchema[None]


class NewKey(BaseModel):
    """The form of what ``lambda_keys.bodies.new_key`` takes; what a range or a public key must be, that alone can say."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    scopes: Annotated[list[_Scope], Field(min_length=1, json_schema_extra={"uniqueItems": True})]
    expires_in_days: Annotated[int, Field(ge=1, le=bodies.MAX_DAYS)] | _Missing = None
    source_ranges: (
        Annotated[
            list[Annotated[str, Field(max_length=49)]],
            Field(min_length=1, max_length=bodies.MAX_RANGES, json_schema_extra={"uniqueItems": True}),
        ]
        | _Missing
    ) = None
    signing_key: _SigningKey | _Missing = None


class KeyRotation(BaseModel):
    """The form of what ``lambda_keys.bodies.rotation`` takes."""

    model_config = ConfigDict(extra="forbid")
    overlap_hours: Annotated[int, Field(ge=0, le=bodies.MAX_OVERLAP_HOURS)] | _Missing = None
    signing_key: _SigningKey | _Missing = None


_Role = Annotated[str, Field(json_schema_extra={"enum": [*user_bodies.ROLES]})]


class NewUser(BaseModel):
    """The form of what ``lambda_users.bodies.new_user`` takes, which says what an address is."""

    model_config = ConfigDict(extra="forbid")
    email: Annotated[str, Field(pattern=r"^[^@\s\"]+@[^@\s\"]+\.[^@\s\"]+$", max_length=user_bodies.EMAIL_LENGTH)]
    group: _Role


class UserChange(BaseModel):
    """The form of what ``lambda_users.bodies.change`` takes."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 2})
    username: Annotated[str, Field(min_length=1, max_length=user_bodies.USERNAME_LENGTH)]
    group: _Role | None = None
    enabled: bool | _Missing = None
    reset_mfa: Literal[True] | _Missing = None


BODIES: dict[tuple[str, str], type[BaseModel]] = {
    ("POST", "/config"): ConfigChange,
    ("POST", "/uploads"): NewUpload,
    ("PATCH", "/uploads/{upload_id}"): NewVisibility,
    ("POST", "/uploads/{upload_id}/parts"): PartNumbers,
    ("POST", "/uploads/{upload_id}/complete"): SentParts,
    ("POST", "/analyses"): NewAnalysis,
    ("PATCH", "/analyses/{analysis_id}"): NewVisibility,
    ("POST", "/keys"): NewKey,
    ("POST", "/keys/{key_id}/rotate"): KeyRotation,
    ("POST", "/users"): NewUser,
    ("PATCH", "/users"): UserChange,
}


def model_name(call: tuple[str, str]) -> str:
    """The name of a call's model, of which an API has one each: that of the body, and where several calls have the same body the
    first part of the route as well."""
    name = BODIES[call].__name__
    shared = sum(body is BODIES[call] for body in BODIES.values()) > 1
    return name + call[1].split("/")[1].capitalize() if shared else name


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
            case "exclusiveMaximum" | "exclusiveMinimum" if (bound := word[9:].lower()) not in given:
                # In draft 4 a word that says how the bound beside it is meant.
                translated |= {word: True, bound: value}
            case _ if word in _SAME:
                translated[word] = value
            case _ if word not in _LEFT_OUT:
                raise UntranslatableError(f"JSON Schema draft 4, which API Gateway takes, has no {word!r}")
    return translated
