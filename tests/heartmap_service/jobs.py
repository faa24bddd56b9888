"""Analyses, tokens and rows, for the tests of what keeps and runs them."""

import hashlib
from typing import Any

import requests
from ulid import ULID

from heartmap_service.clients import Clients
from heartmap_service.job_attempts import AttemptStore, Claimed
from heartmap_service.quotas import Quotas
from heartmap_service.records import Analysis, timestamp
from heartmap_service.worker import Worker

FACTS: dict[str, Any] = {
    "cells": 200,
    "genes": 500,
    "matrix": "X",
    "var": "gene_name",
    "counts": True,
    "legacy": False,
    "values": 100_000,
    "sparse": False,
    "declared_bytes": 400_000,
}
"""What a scan says of a data set."""

PLENTY = Quotas(queued_jobs=10_000, jobs_per_day=10_000, upload_bytes_per_day=1)


def new_analysis(owner: str = "anna", **changes: Any) -> Analysis:
    values: dict[str, Any] = {
        "analysis_id": str(ULID()),
        "upload_id": "u",
        "owner": owner,
        "visibility": "private",
        "analysis_type": "basic",
        "options": {"resolution": 0.1},
        "config_version": 3,
        "config": {"resolution": 0.1, "max_cells_subset": None},
        "state": "queued",
        "created_at": timestamp(),
        "request_id": "r",
    }
    return Analysis(**{**values, **changes})


def claimed(store: AttemptStore, token: str, *, now: float = 1000, lease_seconds: float = 60) -> Analysis:
    claim = store.claim(token, now=now, lease_seconds=lease_seconds)
    assert isinstance(claim, Claimed), claim
    return claim.analysis


def rows(clients: Clients, prefix: str = "") -> dict[str, dict[str, Any]]:
    """All rows of the table whose key begins so."""
    found: dict[str, Any] = {}
    pages: Any = clients.dynamodb.get_paginator("scan").paginate(TableName="jobs", ConsistentRead=True)
    for page in pages:
        found |= {item["pk"]["S"]: item for item in page["Items"] if item["pk"]["S"].startswith(prefix)}
    return found


def unfinished(clients: Clients, owner: str) -> int:
    return int(rows(clients, f"quota#{owner}")[f"quota#{owner}"]["unfinished"]["N"])


def submit(person: Any, upload_id: str, **fields: Any) -> str:
    answer = person.call("POST", "/analyses", json={"upload_id": upload_id, **fields})
    assert answer.status_code == 202, answer.text
    return answer.json()["analysis_id"]


def shown(person: Any, analysis_id: str) -> dict[str, Any]:
    return person.call("GET", f"/analyses/{analysis_id}").json()


def state_of(person: Any, upload_id: str) -> dict[str, Any]:
    return person.call("GET", f"/uploads/{upload_id}").json()


def downloaded(answer: dict[str, Any]) -> dict[str, bytes]:
    files = {file["name"]: requests.get(file["url"], timeout=10).content for file in answer["files"]}
    for file in answer["files"]:
        assert len(files[file["name"]]) == file["bytes"]
        assert hashlib.sha256(files[file["name"]]).hexdigest() == file["sha256"]
    return files


def visible_messages(clients: Clients, aws: dict[str, Any]) -> int:
    names: Any = ["ApproximateNumberOfMessages"]
    answer = clients.sqs.get_queue_attributes(QueueUrl=aws["queue_url"], AttributeNames=names)
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def all_messages(clients: Clients, aws: dict[str, Any]) -> int:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = clients.sqs.get_queue_attributes(QueueUrl=aws["queue_url"], AttributeNames=names)
    return sum(int(number) for number in answer["Attributes"].values())


def drain(worker: Worker) -> None:
    while worker.step():
        pass
