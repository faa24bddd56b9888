"""The .pyc files of a package: the same bytes always, and used without a look at the source."""

import base64
import hashlib
import importlib.util
import json
import marshal
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lambda_keys.package
import lambda_rotation.package
import lambda_token.package
from lambda_authorizer.building import bytecode, compiler, interpreters
from lambda_authorizer.building.target import PackageError, Target
from lambda_authorizer.package import build

AWS = Target("3.13", "manylinux_2_28_aarch64")
KEY_SET = b'{"keys": []}'
START = (
    "import json, sys; sys.path.insert(0, sys.argv[1])\n"
    "from lambda_authorizer.handler import handler\n"
    "answer = handler(json.loads(sys.argv[2]), None)\n"
    "print(answer['policyDocument']['Statement'][0]['Effect'])\n"
)
# Sets and strings whose order or sharing would show in the bytes.
SOURCE = b"""
NAMES = frozenset({"a", "b", "c"})
def f(x, *, spam="spam"):
    'spam'
    return x in {"k1", "k2", "k3", 4, None} or x in ("spam", 1.5, b"spam")
class C:
    spam = lambda self: [spam for spam in "spam"]
"""


@pytest.mark.parametrize("target", [Target.host(), AWS], ids=["host", "aws"])
def test_neither_the_process_nor_its_folder_nor_its_hash_seed_shows_in_the_bytes(tmp_path: Path, target: Target) -> None:
    interpreter, release = interpreters.find(target), interpreters.release(target)
    own = Path(compiler.__file__).parent.parent
    sources = {f"lambda_authorizer/{path.name}": path.read_bytes() for path in own.glob("*.py")} | {"spam.py": SOURCE}
    # Strings that other modules hold as well are written in another way by some releases.
    crowded = "import asyncio, email, http.client, logging, sys; sys.argv = sys.argv[1:]; exec(open(sys.argv[0]).read())"
    plain, filled = [str(Path(compiler.__file__)), release], ["-c", crowded, str(Path(compiler.__file__)), release]
    asked = json.dumps([(path, base64.b64encode(source).decode()) for path, source in sources.items()])
    backwards = json.dumps([(path, base64.b64encode(source).decode()) for path, source in reversed(sources.items())])
    seen = set()
    for number, (arguments, modules) in enumerate([(plain, asked), (plain, backwards), (filled, asked), (filled, backwards)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        variables = {"PYTHONHASHSEED": str(number), "LC_ALL": ("C", "C.UTF-8")[number % 2], "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [interpreter, *arguments], input=modules, cwd=folder, env=variables, capture_output=True, text=True, check=True
        )
        files = dict(zip((path for path, _ in json.loads(modules)), json.loads(done.stdout), strict=True))
        seen.add(hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest())
    assert len(seen) == 1


def test_two_builds_from_nothing_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    for name in ("one", "two"):
        monkeypatch.setattr(bytecode, "_CACHE", tmp_path / name)
        built.append(build(tmp_path / f"{name}-out", key_set=KEY_SET, target=AWS).name)
    assert built[0] == built[1]


@pytest.mark.parametrize(("target", "tag"), [(Target.host(), sys.implementation.cache_tag), (AWS, "cpython-313")])
def test_each_module_has_its_bytecode_where_the_interpreter_looks(tmp_path: Path, target: Target, tag: str) -> None:
    zipped = zipfile.ZipFile(build(tmp_path, key_set=KEY_SET, target=target))
    names = set(zipped.namelist())
    modules = [Path(name) for name in names if name.endswith(".py")]
    assert {f"{path.parent.as_posix()}/__pycache__/{path.stem}.{tag}.pyc" for path in modules} == {
        name for name in names if name.endswith(".pyc")
    }
    for path in modules:
        data = zipped.read(f"{path.parent.as_posix()}/__pycache__/{path.stem}.{tag}.pyc")
        assert int.from_bytes(data[4:8], "little") == 1  # PEP 552: by hash, unchecked
        if target == Target.host():
            assert data[8:16] == importlib.util.source_hash(zipped.read(path.as_posix()))
            assert data[:4] == importlib.util.MAGIC_NUMBER
            assert marshal.loads(data[16:]).co_filename == f"/var/task/{path.as_posix()}"  # noqa: S302  # of this test's making
        else:
            assert int.from_bytes(data[:2], "little") == 3571  # of CPython 3.13


def test_without_the_interpreter_there_is_a_package_that_starts_slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "_CACHE", tmp_path / "bytecode")
    monkeypatch.setitem(interpreters.RELEASES, "3.13", "3.13.99")
    with pytest.warns(UserWarning, match=r"'authorizer' has no bytecode .* CPython 3\.13\.99, .*'uv python install 3\.13\.99"):
        path = build(tmp_path, key_set=KEY_SET, target=AWS)
    names = zipfile.ZipFile(path).namelist()
    assert "lambda_authorizer/handler.py" in names
    assert [name for name in names if name.endswith(".pyc")] == []


def test_a_start_compiles_nothing_and_reads_no_source(tmp_path: Path, pool, environ: dict[str, str], make_event) -> None:
    _starts_without_its_sources(Target.host(), sys.executable, tmp_path, pool, environ, make_event)


@pytest.mark.skipif(sys.platform != "linux", reason="the package for Lambda is for Linux")
def test_the_bytecode_for_lambda_runs_on_its_minor_version(tmp_path: Path, pool, environ: dict[str, str], make_event) -> None:
    target = Target("3.13", f"manylinux_2_28_{platform.machine()}")
    _starts_without_its_sources(target, interpreters.find(target), tmp_path, pool, environ, make_event)


def _starts_without_its_sources(
    target: Target, interpreter: str, tmp_path: Path, pool, environ: dict[str, str], make_event
) -> None:
    path = build(tmp_path, key_set=pool.jwks, target=target)
    task = tmp_path / "task"
    zipfile.ZipFile(path).extractall(task)
    for source in task.rglob("*.py"):
        source.write_text("raise SystemExit('This was compiled.')\n")
        source.chmod(0o444)
    for folder in [task, *(each for each in task.rglob("*") if each.is_dir())]:
        folder.chmod(0o555)
    before = sorted(task.rglob("*"))
    variables = {name: value for name, value in environ.items() if name != "HEARTMAP_JWKS_FILE"}
    event = json.dumps(make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}"))
    command = [interpreter, "-I", "-S", "-c", START, str(task), event]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Allow"
    assert sorted(task.rglob("*")) == before


@pytest.mark.parametrize("build_package", [lambda_keys.package.build, lambda_token.package.build, lambda_rotation.package.build])
def test_the_other_functions_have_it_too(tmp_path: Path, build_package) -> None:
    names = zipfile.ZipFile(build_package(tmp_path, target=AWS)).namelist()
    sources = [name for name in names if name.endswith(".py")]
    assert len(names) == 2 * len(sources)
    assert "lambda_authorizer/__pycache__/secret_store.cpython-313.pyc" in names


def test_what_is_compiled_once_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "_CACHE", tmp_path)
    first = bytecode.of({"spam.py": SOURCE, "notes.txt": b"def"}, Target.host())
    assert list(first) == [f"__pycache__/spam.{sys.implementation.cache_tag}.pyc"]

    def never(_: Target) -> str:
        raise AssertionError

    monkeypatch.setattr(interpreters, "find", never)
    assert bytecode.of({"spam.py": SOURCE}, Target.host()) == first
    with pytest.raises(AssertionError):
        bytecode.of({"spam.py": SOURCE + b"\n"}, Target.host())
    with pytest.raises(AssertionError):
        bytecode.of({"ham.py": SOURCE}, Target.host())
    assert all(file.suffix == ".pyc" for file in (tmp_path / interpreters.release(Target.host())).iterdir())


def test_another_interpreter_does_not_pass_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "_CACHE", tmp_path)
    monkeypatch.setattr(interpreters, "find", lambda _: sys.executable)
    with pytest.raises(PackageError, match=rf"This is cpython {platform.python_version()} and not CPython 3\.13\.0"):
        bytecode.of({"spam.py": SOURCE}, AWS)
    assert list(tmp_path.iterdir()) == []


def test_a_version_without_a_release_is_refused() -> None:
    with pytest.raises(PackageError, match=r"Python 3\.9 on manylinux_2_28_aarch64: name its exact release in RELEASES"):
        interpreters.release(Target("3.9", "manylinux_2_28_aarch64"))
    with pytest.raises(PackageError, match=r"Python 3\.13 on this machine"):
        interpreters.release(Target("3.13", None))


def test_a_module_that_does_not_compile_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "_CACHE", tmp_path)
    with pytest.raises(PackageError, match=r"/var/task/spam\.py"):
        bytecode.of({"spam.py": b"def"}, Target.host())


def test_the_environment_of_the_build_does_not_reach_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('The folder was used.')")
    (tmp_path / "json.py").write_text("raise SystemExit('The folder was used.')")
    expected = bytecode.of({"spam.py": SOURCE}, AWS)
    monkeypatch.chdir(tmp_path)
    for name, value in {"PYTHONPATH": str(tmp_path), "PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "7"}.items():
        monkeypatch.setitem(os.environ, name, value)
    monkeypatch.setattr(bytecode, "_CACHE", tmp_path / "cache")
    assert bytecode._compile({"spam.py": SOURCE}, interpreters.find(AWS), interpreters.release(AWS)) == {
        "spam.py": next(iter(expected.values()))
    }
