import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lambda_authorizer import package
from lambda_authorizer.package import PackageError, Target, build

AWS = Target("3.13", "manylinux_2_28_aarch64")
KEY_SET = b'{"keys": []}'


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    first = build(tmp_path / "one", key_set=KEY_SET, target=Target.host())
    for module in Path(package.__file__).parent.glob("*.py"):
        os.utime(module)
    second = build(tmp_path / "two", key_set=KEY_SET, target=Target.host())
    assert first.read_bytes() == second.read_bytes()
    assert first.name == second.name


def test_installing_the_dependencies_anew_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(tmp_path, key_set=KEY_SET, target=Target.host())
    monkeypatch.setattr(package, "_CACHE", tmp_path / "cache")
    assert build(tmp_path / "anew", key_set=KEY_SET, target=Target.host()).name == first.name


def test_the_key_set_is_part_of_it(tmp_path: Path) -> None:
    path = build(tmp_path, key_set=b'{"keys": [1]}', target=Target.host())
    assert zipfile.ZipFile(path).read("lambda_authorizer/jwks.json") == b'{"keys": [1]}'
    assert path != build(tmp_path, key_set=KEY_SET, target=Target.host())


def test_the_package_for_aws_holds_libraries_for_aws(tmp_path: Path) -> None:
    path = build(tmp_path, key_set=KEY_SET, target=AWS)
    archive = zipfile.ZipFile(path)
    (backend,) = [name for name in archive.namelist() if name.startswith("_cffi_backend")]
    assert "313-aarch64" in backend
    assert archive.read(backend)[18:20] == b"\xb7\x00"  # e_machine of an ELF file: AArch64


def test_it_holds_no_more_than_it_needs(tmp_path: Path) -> None:
    path = build(tmp_path, key_set=KEY_SET, target=AWS)
    entries = zipfile.ZipFile(path).infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert "lambda_authorizer/package.py" not in names
    assert not [name for name in names if name.startswith(("bin/", "pycparser", "cffi/")) or name.endswith(".pyi")]
    assert not [name for name in names if name.startswith("lambda_authorizer/building")]
    assert {stat.S_IMODE(entry.external_attr >> 16) for entry in entries} == {0o644}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert path.stat().st_size < 20_000_000


def test_the_handler_starts_from_the_package_alone(tmp_path: Path, pool, environ: dict[str, str], make_event) -> None:
    path = build(tmp_path, key_set=pool.jwks, target=Target.host())
    zipfile.ZipFile(path).extractall(tmp_path / "task")
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from lambda_authorizer.handler import handler\n"
        "answer = handler(json.loads(sys.argv[2]), None)\n"
        "print(answer['policyDocument']['Statement'][0]['Effect'], 'boto3' in sys.modules, 'http.client' in sys.modules)\n"
    )
    variables = {name: value for name, value in environ.items() if name != "HEARTMAP_JWKS_FILE"}
    event = json.dumps(make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}"))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(tmp_path / "task"), event],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "Allow False False"
    assert done.stderr == ""


def test_an_unknown_platform_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="manylinux_2_28_aarch64"):
        build(tmp_path, key_set=KEY_SET, target=Target("3.13", "linux; rm -rf"))


def test_a_failed_installation_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("cryptography==50.0.2 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(package, "_REQUIREMENTS", requirements)
    monkeypatch.setattr(package, "_CACHE", tmp_path / "cache")
    with pytest.raises(PackageError, match="could not be installed"):
        build(tmp_path / "out", key_set=KEY_SET, target=Target.host())
    assert list((tmp_path / "cache").iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_every_dependency_is_pinned_by_hash_and_names_no_host() -> None:
    text = Path(package.__file__).with_name("requirements.txt").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins
    assert all(line.endswith("\\") for line in pins)
    assert "://" not in text
    assert "--find-links" not in text
