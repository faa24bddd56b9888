import os
import subprocess
import sys
import zipfile
from pathlib import Path

from lambda_authorizer.building.target import Target
from lambda_rotation import package


def test_the_package_has_all_that_the_handler_imports_but_the_sdk(tmp_path: Path) -> None:
    path = package.build(tmp_path, target=Target.host())
    with zipfile.ZipFile(path) as zipped:
        assert {name.partition("/")[0] for name in zipped.namelist()} == {"lambda_authorizer", "lambda_rotation"}
        assert "lambda_authorizer/handler.py" not in zipped.namelist()
        zipped.extractall(tmp_path / "task")
    code = "import lambda_rotation.handler as h, sys; sys.stdout.write(h.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "task"), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, str(tmp_path / "task" / "lambda_rotation" / "handler.py")), done.stderr


def test_the_same_sources_give_the_same_package(tmp_path: Path) -> None:
    assert package.build(tmp_path / "a", target=Target.host()).name == package.build(tmp_path / "b", target=Target.host()).name
