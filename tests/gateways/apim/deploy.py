"""Deploys a rendered project by the real Pulumi engine: ``python deploy.py PROJECT STATE CASES``, CASES a JSON list of
``{"config": {...}, "instance": {...}}``, the instance being what Azure says of it.

The engine cannot tell the stand-in for Azure's provider from the real one. Prints what there is then, as a JSON list:
``{"resources": [...], "outputs": {...}}``, or ``{"failed": text}``. A process of its own, because the SDK keeps a program's
state.
"""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pulumi.automation as auto

from local_cloud import engine
from tests.gateways.apim.azure_provider import INSTANCE

PLUGINS = Path(__file__).resolve().parent / "bin"


def deploy(program: Callable[[], None], state: Path, config: dict[str, str], instance: dict[str, Any]) -> dict[str, Any]:
    """What there is after ``pulumi up``, or why there is nothing."""
    for name in ("work", "backend", "home"):
        (state / name).mkdir(parents=True)
    variables = {
        "PATH": os.pathsep.join([str(PLUGINS), str(engine.locate().parent), os.environ["PATH"]]),
        "PULUMI_BACKEND_URL": f"file://{state / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "of a test",
        "PULUMI_HOME": str(state / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "HEARTMAP_PYTHON": sys.executable,
        INSTANCE: json.dumps(instance),
    }
    os.environ.update(variables)
    options = auto.LocalWorkspaceOptions(work_dir=str(state / "work"), env_vars=variables)
    stack = auto.create_or_select_stack("lab", project_name="heartmap-apim", program=program, opts=options)
    stack.set_all_config({key: auto.ConfigValue(value) for key, value in config.items()})
    try:
        outputs = stack.up(color="never").outputs
    except auto.CommandError as error:
        return {"failed": str(error)}
    return {
        "resources": (stack.export_stack().deployment or {})["resources"],
        "outputs": {name: out.value for name, out in outputs.items()},
    }


def main(project: Path, state: Path, cases: list[dict[str, Any]]) -> None:
    sys.path.insert(0, str(project))
    program = import_module("apim").main
    made = [deploy(program, state / str(index), **case) for index, case in enumerate(cases)]
    sys.stdout.write(json.dumps(made))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
