import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests


def results_of(person: Any, analysis_id: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    answer = person.call("GET", f"/analyses/{analysis_id}/results").json()
    return {file["name"]: requests.get(file["url"], timeout=10).content for file in answer["files"]}, answer


def test_an_uploaded_data_set_becomes_a_comprehensive_result(
    analyst: Any, upload: Callable[..., str], work: Callable[[], None], small: Path, tmp_path: Path
) -> None:
    upload_id = upload(small.read_bytes())
    submitted = analyst.call("POST", "/analyses", json={"upload_id": upload_id, "analysis_type": "comprehensive"})
    assert submitted.status_code == 202, submitted.text
    work()
    analysis = analyst.call("GET", f"/analyses/{submitted.json()['analysis_id']}").json()
    assert analysis["state"] == "succeeded", analysis
    files, answer = results_of(analyst, analysis["analysis_id"])
    print(json.dumps(answer["summary"], indent=1))
    print({name: len(body) for name, body in files.items()})
