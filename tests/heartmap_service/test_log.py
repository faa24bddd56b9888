import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from heartmap_service import log


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize(("level", "events"), [("INFO", ["told"]), ("DEBUG", ["detail", "told"])])
def test_the_level_says_which_of_our_own_lines_are_written(
    level: str, events: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("worker", level)
    structlog.get_logger().debug("detail")
    structlog.get_logger().info("told")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == events
    assert {line["process"] for line in lines} == {"worker"}


def test_no_level_opens_the_libraries_logs_which_hold_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("worker", "DEBUG")
    logging.getLogger("botocore.endpoint").debug("authorization: secret")
    logging.getLogger("botocore.endpoint").warning("slow")
    captured = capsys.readouterr()
    assert "secret" not in captured.out + captured.err
    assert "slow" in captured.err
