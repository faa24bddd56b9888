"""Values as the Pulumi engine sends them (google.protobuf.Struct), to Python values and back.

Source: pulumi/sdk, resource/plugin/rpc.go: an object with the signature key is an asset, an archive or a secret, and one reserved
text stands for a value that is not known yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from google.protobuf import struct_pb2

from local_cloud.provider.framework import UNKNOWN, Archive, FileContent, Refused

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  # a type mark, not a secret
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
OUTPUT_VALUE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
MAX_MESSAGE_BYTES: Final = 400 * 1024 * 1024


def decode(struct: struct_pb2.Struct) -> tuple[dict[str, Any], set[str]]:
    """The properties without their secret marks, and the names of those that are secret or contain a secret."""
    secrets: set[str] = set()
    properties: dict[str, Any] = {}
    for name, value in struct.fields.items():
        properties[name], is_secret = _decode_value(value)
        if is_secret:
            secrets.add(name)
    return {name: value for name, value in properties.items() if value is not None}, secrets


def encode(properties: Mapping[str, Any], secrets: set[str] | frozenset[str] = frozenset()) -> struct_pb2.Struct:
    """The Struct of the properties; those named in `secrets` are marked as secret. None is left out."""
    struct = struct_pb2.Struct()
    for name, value in properties.items():
        if value is None:
            continue
        plain = _encode_value(value)
        struct.update({name: {SIGNATURE_KEY: SECRET, "value": plain} if name in secrets else plain})
    return struct


def contains_unknown(value: Any) -> bool:
    """Whether the value or anything in it is not known yet."""
    if isinstance(value, Mapping):
        return any(map(contains_unknown, value.values()))
    if isinstance(value, list):
        return any(map(contains_unknown, value))
    return value is UNKNOWN


def _decode_value(value: struct_pb2.Value) -> tuple[Any, bool]:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _decode_struct(value.struct_value)
    if kind == "list_value":
        items = [_decode_value(item) for item in value.list_value.values]
        return [item for item, _ in items], any(is_secret for _, is_secret in items)
    if kind == "string_value":
        return (UNKNOWN if value.string_value == UNKNOWN_TEXT else value.string_value), False
    if kind == "number_value":
        number = value.number_value
        return (int(number) if number.is_integer() else number), False
    return (value.bool_value if kind == "bool_value" else None), False


def _decode_struct(struct: struct_pb2.Struct) -> tuple[Any, bool]:
    fields = struct.fields
    signature = fields[SIGNATURE_KEY].string_value if SIGNATURE_KEY in fields else None
    if signature == SECRET:
        return _decode_value(fields["value"])[0], True
    if signature == OUTPUT_VALUE:
        known = _decode_value(fields["value"])[0] if "value" in fields else UNKNOWN
        return known, "secret" in fields and fields["secret"].bool_value
    if signature == ASSET:
        return _decode_asset(fields), False
    if signature == ARCHIVE:
        entries = {name: _decode_value(entry)[0] for name, entry in fields["assets"].struct_value.fields.items()}
        return Archive(_path(fields), entries, fields["hash"].string_value), False
    if signature is not None:
        raise Refused("an argument holds a kind of value that the local cloud does not know (neither asset, archive nor secret)")
    values = {name: _decode_value(value) for name, value in fields.items()}
    known = {name: value for name, (value, _) in values.items() if value is not None}
    return known, any(is_secret for _, is_secret in values.values())


def _decode_asset(fields: Mapping[str, struct_pb2.Value]) -> FileContent:
    if "uri" in fields and fields["uri"].string_value:
        raise Refused("a remote asset is not fetched by the local cloud: use a file or a text")
    text = fields["text"].string_value if "text" in fields else None
    path = _path(fields)
    return FileContent(path, None if path else text, fields["hash"].string_value if "hash" in fields else "")


def _path(fields: Mapping[str, struct_pb2.Value]) -> Path | None:
    return Path(fields["path"].string_value) if "path" in fields and fields["path"].string_value else None


def _encode_value(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, FileContent):
        content = {"path": str(value.path) if value.path else None, "text": value.text}
        return {SIGNATURE_KEY: ASSET, "hash": value.sha256, **{key: item for key, item in content.items() if item is not None}}
    if isinstance(value, Archive):
        content = {"path": str(value.path)} if value.path else {"assets": _encode_value(value.entries)}
        return {SIGNATURE_KEY: ARCHIVE, "hash": value.sha256, **content}
    if isinstance(value, Mapping):
        return {name: _encode_value(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [_encode_value(item) for item in value]
    if isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be sent to the engine")
