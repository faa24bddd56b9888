from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operator_cli import analyses
from operator_cli.command import Command
from operator_cli.errors import CliError, WrongUse
from operator_cli.output import Output
from operator_cli.vocabulary import AnalysisType, EnvironmentName

QUIET = Output(json_only=True)


@pytest.fixture
def both(service: Any) -> Iterator[Any]:
    with Command(EnvironmentName.LOCAL, json_only=True).service() as pair:
        yield pair


def test_option_values_are_json_where_they_read_as_json() -> None:
    given = ["resolution=0.8", "min_genes=200", "flag=true", "none=null", "name=leiden", "expression=a=b", "empty="]
    expected = {
        "resolution": 0.8,
        "min_genes": 200,
        "flag": True,
        "none": None,
        "name": "leiden",
        "expression": "a=b",
        "empty": "",
    }
    assert analyses.parse_options(given) == expected


@pytest.mark.parametrize("given", [["resolution"], ["=1"], ["a=1", "a=1"]])
def test_an_option_that_is_not_a_pair_or_comes_twice_is_wrong_use(given: list[str]) -> None:
    with pytest.raises(WrongUse):
        analyses.parse_options(given)


def test_the_types_are_the_services_own() -> None:
    from heartmap_service.catalogue import ANALYSIS_TYPES

    assert {kind.value for kind in AnalysisType} == set(ANALYSIS_TYPES)


def test_a_cancelled_analysis_is_no_success(service: Any, both: Any, analysis_id: str, reply: Any) -> None:
    service.server.routes["GET", f"/analyses/{analysis_id}"] = reply(200, {"analysis_id": analysis_id, "state": "cancelled"})
    with pytest.raises(CliError, match="cancelled"):
        analyses.follow(both[0], QUIET, analysis_id)


def test_a_watch_that_breaks_off_says_that_the_analysis_goes_on(service: Any, both: Any, analysis_id: str, refuse: Any) -> None:
    service.server.routes["GET", f"/analyses/{analysis_id}"] = refuse(400, "odd", "Odd.")
    with pytest.raises(CliError) as failed:
        analyses.follow(both[0], QUIET, analysis_id)
    assert failed.value.document["analysis_id"] == analysis_id
    assert f"heartmapctl jobs watch {analysis_id}" in str(failed.value.next_step)


def test_two_results_of_one_name_write_nothing(service: Any, both: Any, analysis_id: str, tmp_path: Path, reply: Any) -> None:
    files = [service.file("summary.json", b"{}"), service.file("SUMMARY.json", b"[]")]
    service.server.routes["GET", f"/analyses/{analysis_id}/results"] = reply(200, {"files": files, "summary": {}})
    with pytest.raises(CliError, match="alike"):
        analyses.fetch_results(both[0], both[1], QUIET, analysis_id, tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_a_directory_that_cannot_be_written_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WrongUse, match="cannot be written"):
            analyses.prepare(directory)
    made = analyses.prepare(tmp_path / "a" / "b")
    assert list(made.iterdir()) == []
