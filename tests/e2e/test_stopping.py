"""The end of the local environment, and of what ran in it. This file comes last, as its name does."""

import json
import socket
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def test_down_leaves_no_process_and_no_port(local: Any) -> None:
    """The last of all: it ends the environment."""
    ports = json.loads((local.state / "ports.json").read_text())
    down = local.down()
    assert down.returncode == 0, down.stderr
    assert local.process_ids() == []
    assert not (local.state / "environment.json").exists()
    for port in ports.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
