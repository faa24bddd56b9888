"""What Kong's plugins may be configured with, as JSON Schema.

Stated here from the schemas of Kong 3.9.3 (``kong/plugins/*/schema.lua``, Apache License 2.0): the fields that there are, their
types, the values that are allowed, and the rules between fields. Kong's are Lua; these are statements of them, not copies.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
TEXTS: Schema = {"type": "array", "items": TEXT}
YES_OR_NO: Schema = {"type": "boolean"}
LIMIT: Schema = {"type": "number", "exclusiveMinimum": 0}
HEADER: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
PAIRS: Schema = {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:.*$"}}


def _record(required: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": fields, "required": list(required)}


_PERIODS = ("second", "minute", "hour", "day", "month", "year")
_PHASES = ("certificate", "rewrite", "access", "header_filter", "body_filter", "log")
_ALLOW_OR_DENY = [{"required": ["allow"]}, {"required": ["deny"]}]

PLUGINS: dict[str, Schema] = {
    "acl": _record(allow=TEXTS, deny=TEXTS, hide_groups_header=YES_OR_NO, always_use_authenticated_groups=YES_OR_NO)
    | {"oneOf": _ALLOW_OR_DENY},
    "correlation-id": _record(
        header_name=TEXT, generator={"enum": ["uuid", "uuid#counter", "tracker"]}, echo_downstream=YES_OR_NO
    ),
    "file-log": _record(
        ("path",),
        path={"type": "string", "pattern": "^[^*&%`]+$"},
        reopen=YES_OR_NO,
        custom_fields_by_lua={"type": "object", "additionalProperties": TEXT},
    ),
    "ip-restriction": _record(allow=TEXTS, deny=TEXTS, status={"type": "number"}, message=TEXT) | {"anyOf": _ALLOW_OR_DENY},
    "jwt": _record(
        uri_param_names=TEXTS,
        cookie_names=TEXTS,
        key_claim_name=TEXT,
        secret_is_base64=YES_OR_NO,
        claims_to_verify={"type": "array", "items": {"enum": ["exp", "nbf"]}},
        anonymous=TEXT,
        run_on_preflight=YES_OR_NO,
        maximum_expiration={"type": "number", "minimum": 0, "maximum": 31536000},
        header_names=TEXTS,
        realm=TEXT,
    )
    | {
        "if": {"properties": {"maximum_expiration": LIMIT}, "required": ["maximum_expiration"]},
        "then": {"properties": {"claims_to_verify": {"contains": {"const": "exp"}}}, "required": ["claims_to_verify"]},
    },
    "key-auth": _record(
        key_names={"type": "array", "items": HEADER},
        hide_credentials=YES_OR_NO,
        anonymous=TEXT,
        key_in_header=YES_OR_NO,
        key_in_query=YES_OR_NO,
        key_in_body=YES_OR_NO,
        run_on_preflight=YES_OR_NO,
        realm=TEXT,
    ),
    "pre-function": _record(**dict.fromkeys(_PHASES, TEXTS)) | {"minProperties": 1},
    "rate-limiting": _record(
        **dict.fromkeys(_PERIODS, LIMIT),
        limit_by={"enum": ["consumer", "credential", "ip", "service", "header", "path"]},
        header_name=HEADER,
        path=TEXT,
        # Without a database there is no policy "cluster".
        policy={"enum": ["local", "redis"]},
        fault_tolerant=YES_OR_NO,
        redis={"type": "object"},
        hide_client_headers=YES_OR_NO,
        error_code=LIMIT,
        error_message=TEXT,
        sync_rate={"const": -1},
    ),
    "request-size-limiting": _record(
        allowed_payload_size={"type": "integer"},
        size_unit={"enum": ["megabytes", "kilobytes", "bytes"]},
        require_content_length=YES_OR_NO,
    ),
    "response-transformer": _record(
        remove=_record(json=TEXTS, headers=TEXTS), add=_record(json=PAIRS, json_types=TEXTS, headers=PAIRS)
    ),
}
