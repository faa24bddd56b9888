"""Prowler on prod, deployed by the real engine into an emulated AWS: nothing that docs/controls.md does not explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from posture.controls.page import PAGE, read
from posture.scanners import prowler
from posture.scanners.results import stale, unexplained

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]


def test_prowler_finds_nothing_that_is_not_explained(cloud: str, account: Any, engine_of: Callable[[str], Any]) -> None:
    engine = engine_of("prod")
    # The zone that prod's placeholder stands for: it exists before the stack does.
    zone = account.client("route53").create_hosted_zone(Name="example.org", CallerReference="prowler")["HostedZone"]["Id"]
    engine.setting("Z0123456789EXAMPLE", zone.rsplit("/", 1)[-1])
    engine.up()
    failures = prowler.scan(cloud)
    explained = read(PAGE.read_text(encoding="utf-8")).scanners
    assert unexplained(failures, explained, "prod") == []
    assert stale(failures, explained, prowler.CHECKS, "prod") == []
