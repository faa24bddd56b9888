"""The manifest of an analysis: what went in, what ran and what came out, so that anyone can check a result or make it again.

Canonical JSON (RFC 8785 for what is in it: sorted keys, no spaces, UTF-8) in two members. ``reproducible`` depends on the data
set, the analysis, its configuration and the versions alone: two runs of the same have the same, byte for byte, with the SHA-256
of every table, figure and AnnData file. ``run`` says which run it was.

A processor of another kind may round differently, and with it the files: equality is promised for one image on one kind of
processor. docs/isolation.md says which files were compared.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heartmap_service.records import Analysis, timestamp

if TYPE_CHECKING:
    from heartmap_service.storage import Downloaded, StoredFile

NAME = "manifest.json"
SCHEMA = 1
SERVICE_VERSION = "0.1.0"
"""That of pyproject.toml, which is not in the image."""


def build(analysis: Analysis, *, dataset: "Downloaded", summary: dict[str, Any], files: "Sequence[StoredFile]") -> bytes:
    """The manifest's text.

    Args:
        analysis: as it was claimed; its start and attempt are the run's.
        dataset: size and SHA-256 of the file that was analysed.
        summary: of the pipeline; the versions of Python and of the libraries are taken from it.
        files: all the others of the analysis, as they were stored.
    """
    document = {
        "schema": SCHEMA,
        "reproducible": {
            "analysis_type": analysis.analysis_type,
            "options": analysis.options,
            "config": analysis.config,
            "random_seed": analysis.config.get("random_seed"),
            "input": {"bytes": dataset.bytes, "sha256": dataset.sha256},
            "versions": {**summary.get("versions", {}), "service": SERVICE_VERSION},
            "files": [
                {"name": file.name, "bytes": file.bytes, "sha256": file.sha256}
                for file in sorted(files, key=lambda file: file.name)
            ],
        },
        "run": {
            "analysis_id": analysis.analysis_id,
            "upload_id": analysis.upload_id,
            "config_version": analysis.config_version,
            "attempt": analysis.attempt,
            "request_id": analysis.request_id,
            "created_at": analysis.created_at,
            "started_at": analysis.started_at,
            "finished_at": analysis.finished_at or timestamp(),
        },
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()
