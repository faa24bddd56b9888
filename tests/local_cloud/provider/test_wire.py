from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime import rpc

from local_cloud.provider import wire
from local_cloud.provider.framework import UNKNOWN, Archive, FileContent, Refused

SHA = hashlib.sha256(b"x").hexdigest()


def struct(**fields: Any) -> struct_pb2.Struct:
    out = struct_pb2.Struct()
    out.update(fields)
    return out


def special(signature: str, **fields: Any) -> dict[str, Any]:
    return {wire.SIGNATURE_KEY: signature, **fields}


def test_the_marks_are_those_of_the_sdk() -> None:
    assert rpc._special_sig_key == wire.SIGNATURE_KEY
    assert rpc._special_secret_sig == wire.SECRET
    assert rpc._special_asset_sig == wire.ASSET
    assert rpc._special_archive_sig == wire.ARCHIVE
    assert rpc._special_output_value_sig == wire.OUTPUT_VALUE
    assert wire.UNKNOWN_TEXT == rpc.UNKNOWN


def test_whole_numbers_come_back_as_integers() -> None:
    values, _ = wire.decode(struct(seconds=120, rate=0.5, flag=True, text="120"))
    assert values == {"seconds": 120, "rate": 0.5, "flag": True, "text": "120"}
    assert isinstance(values["seconds"], int)


def test_nothing_is_left_out_both_ways() -> None:
    assert wire.decode(struct(a=None, b={"c": None, "d": []})) == ({"b": {"d": []}}, set())
    assert wire.decode(wire.encode({"a": None, "b": {"c": None, "d": []}})) == ({"b": {"d": []}}, set())


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (special(wire.SECRET, value="s"), "s"),
        ({"inner": special(wire.SECRET, value="s")}, {"inner": "s"}),
        ([special(wire.SECRET, value=["s"])], [["s"]]),
        (special(wire.OUTPUT_VALUE, value="s", secret=True), "s"),
        (special(wire.SECRET, value=wire.UNKNOWN_TEXT), UNKNOWN),
    ],
)
def test_a_secret_is_found_at_any_depth(value: Any, plain: Any) -> None:
    assert wire.decode(struct(argument=value, other="o")) == ({"argument": plain, "other": "o"}, {"argument"})


def test_a_secret_goes_back_marked() -> None:
    encoded = wire.encode({"a": "s", "b": "plain"}, {"a"})
    assert dict(encoded["a"]) == special(wire.SECRET, value="s")  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert encoded["b"] == "plain"


def test_an_output_without_a_value_is_unknown() -> None:
    assert wire.decode(struct(a=special(wire.OUTPUT_VALUE))) == ({"a": UNKNOWN}, set())


def test_an_unknown_value_is_found_at_any_depth() -> None:
    assert wire.contains_unknown({"a": [{"b": UNKNOWN}]})
    assert not wire.contains_unknown({"a": [{"b": None}]})


def test_a_file_asset_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "code.zip"
    path.write_bytes(b"x")
    values, _ = wire.decode(struct(source=special(wire.ASSET, path=str(path), hash=SHA)))
    assert values["source"].read() == b"x"
    assert wire.decode(wire.encode(values)) == (values, set())


def test_a_missing_file_is_named_without_its_directory(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"the asset code\.zip cannot be read") as refused:
        FileContent(tmp_path / "code.zip", None, SHA).read()
    assert str(tmp_path) not in str(refused.value)


def test_a_text_asset_holds_its_text() -> None:
    values, _ = wire.decode(struct(source=special(wire.ASSET, text="", hash=SHA)))
    assert values["source"].read() == b""


def test_an_asset_of_which_only_the_hash_is_left_stays_what_it_is() -> None:
    values, _ = wire.decode(struct(source=special(wire.ASSET, hash=SHA)))
    assert values["source"] == FileContent(Path("elsewhere"), None, SHA)
    assert wire.decode(wire.encode(values)) == (values, set())
    with pytest.raises(Refused, match="not known any more"):
        values["source"].read()


def test_assets_of_the_same_content_are_equal_wherever_they_lie() -> None:
    assert FileContent(Path("a"), None, SHA) == FileContent(Path("b"), None, SHA)
    assert FileContent(Path("a"), None, SHA) != FileContent(Path("a"), None, "other")


def test_an_archive_keeps_its_entries() -> None:
    entry = special(wire.ASSET, text="x", hash=SHA)
    values, _ = wire.decode(struct(code=special(wire.ARCHIVE, assets={"a.py": entry}, hash="h")))
    archive = values["code"]
    assert isinstance(archive, Archive)
    assert archive.entries == {"a.py": FileContent(None, "x", SHA)}
    assert wire.decode(wire.encode(values)) == (values, set())


@pytest.mark.parametrize("value", [special("something else"), special(wire.ASSET, uri="https://example.org/x", hash=SHA)])
def test_what_cannot_be_understood_is_refused(value: Any) -> None:
    with pytest.raises(Refused):
        wire.decode(struct(a=value))
