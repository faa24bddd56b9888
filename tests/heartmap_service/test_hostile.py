"""Every hostile file is refused with its own code, in bounded time and memory, and nothing of the host is opened or told."""

import ast
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from heartmap_service import anndata_layout, hdf5_storage, hdf5_structure, matrix_values, scan
from heartmap_service.refusals import SENTENCES, refusal
from heartmap_service.settings import GIB
from tests.heartmap_service import hostile, hostile_run

ROOT = Path(__file__).parents[2]
SECONDS = 5
MOST_MIB = 1024


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.h5ad"
    hostile.seed(path)
    return path


@pytest.fixture(scope="module")
def seen(good: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What was seen of each hostile file, by its name, and of the good one."""
    directory = tmp_path_factory.mktemp("hostile")
    with h5py.File(directory / hostile.CANARY, "w", userblock_size=512) as file:
        file["obs"] = file["x"] = np.frombuffer(hostile.CANARY_TEXT.encode() * 8, dtype="u1")
        file["group/deeper"] = 1
    with (directory / hostile.CANARY).open("r+b") as stream:
        stream.write(hostile.CANARY_TEXT.encode() * 8)
    shutil.copy(good, directory / "good.h5ad")
    body = good.read_bytes()
    for name in hostile.HOSTILE:
        hostile.write(name, body, directory / f"{name}.h5ad")
    names = [f"{name}.h5ad" for name in ("good", *hostile.HOSTILE)]
    command = [sys.executable, "-m", "tests.heartmap_service.hostile_run", hostile.CANARY, *names]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOSTILE_SECRET": hostile.CANARY_TEXT}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=True, timeout=300)
    shutil.rmtree(directory)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line for line in lines}


def test_there_are_more_than_eighty_of_them() -> None:
    assert len(hostile.HOSTILE) > 80


def test_what_they_all_start_from_is_accepted(seen: dict[str, dict[str, Any]]) -> None:
    assert seen["good"]["code"] == "accepted"


@pytest.mark.parametrize("name", hostile.HOSTILE)
def test_a_hostile_file_is_refused_with_its_own_code(seen: dict[str, dict[str, Any]], name: str) -> None:
    assert seen[name]["code"] == hostile.HOSTILE[name].code, seen[name]["log"]
    assert seen[name]["status"] == 0
    sentence = re.escape(SENTENCES[seen[name]["code"]])
    assert re.fullmatch(re.sub(r"\\\{\w+\\\}", ".+", sentence), seen[name]["detail"])


def test_none_takes_more_time_or_memory_than_a_scan_may(seen: dict[str, dict[str, Any]]) -> None:
    # Seconds of the processor: those of the clock are shared with whatever else runs.
    slow = {name: (line["seconds"], line["mib"]) for name, line in seen.items() if line["seconds"] > SECONDS}
    large = {name: line["mib"] for name, line in seen.items() if line["mib"] > MOST_MIB}
    assert (slow, large) == ({}, {})


def test_nothing_of_the_host_is_opened_or_told(seen: dict[str, dict[str, Any]]) -> None:
    assert [name for name, line in seen.items() if line["opened"]] == []
    for line in seen.values():
        assert hostile.CANARY_TEXT not in line["log"] + line["detail"]
        assert not re.search(r"\.h5ad|Traceback|Unable to|/tmp|/proc|/home", line["detail"])


def test_the_watch_sees_a_canary_that_is_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text(hostile.CANARY_TEXT, encoding="ascii")
    assert hostile_run.observe(canary, str(canary))["opened"] is True


def test_a_scan_that_ends_without_a_word_is_seen_as_a_crash(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_run, "scan", lambda *_, **__: hostile_run.os._exit(139))
    line = hostile_run.observe(good, str(good))
    assert line["code"] == "crashed"
    assert line["status"] != 0


def test_an_endless_loop_within_hdf5_is_ended_with_the_process(good: Path, tmp_path: Path) -> None:
    """The first text of a heap is said to be -16 bytes long, as long as what stands before it: HDF5 does not move on."""
    body = good.read_bytes()
    place = body.index(b"GCOL") + 24
    path = tmp_path / "loop.h5ad"
    path.write_bytes(body[:place] + b"\xf0" + b"\xff" * 7 + body[place + 8 :])
    line = hostile_run.observe(path, str(good))
    assert (line["code"], line["status"]) == ("crashed", signal.SIGXCPU)
    assert line["seconds"] < SECONDS + 1


# The table of codes


def codes_raised() -> set[str]:
    """The codes in the calls of refusal() in the modules of the scan."""
    found: set[str] = set()
    for module in (scan, hdf5_structure, hdf5_storage, anndata_layout, matrix_values):
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "refusal":
                found |= {str(part.value) for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)}
    return found


def test_each_code_has_a_sentence_and_each_sentence_a_file() -> None:
    assert codes_raised() == set(SENTENCES) == {file.code for file in hostile.HOSTILE.values()}


def test_the_page_lists_each_code_with_its_sentence() -> None:
    page = (ROOT / "docs" / "data-sets.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", page, re.MULTILINE))
    assert listed == SENTENCES


def test_a_sentence_says_what_to_do_and_fits_into_an_answer() -> None:
    verbs = "Write|Upload|Save|Drop|Put|Rename|Shorten|Correct|Set|Call|Replace|Add"
    for code, sentence in SENTENCES.items():
        assert re.search(rf"\. ({verbs}) .*\.$", sentence), code
        assert len(sentence) < 400


def test_a_name_from_the_file_is_cut_and_shown_escaped() -> None:
    detail = refusal("not_utf8", name="obs/\x1b[31m\u202e" + "x" * 5000).detail
    assert detail.isprintable()
    assert "\\x1b[31m\\u202e" in detail
    assert len(detail) < 200


# What HDF5 itself lets pass


@pytest.mark.parametrize(
    "name",
    [
        "chunk_that_unpacks_to_less",
        "lzf_chunk_that_unpacks_to_less",
        "chunk_that_is_shorter_than_it_should_be",
        "unfiltered_edge",
    ],
)
def test_hdf5_reads_a_chunk_that_lacks_values_without_a_word(good: Path, tmp_path: Path, name: str) -> None:
    """Why hdf5_storage unpacks each chunk. When this fails, HDF5 has come to look itself."""
    path = tmp_path / "short.h5ad"
    hostile.write(name, good.read_bytes(), path)
    with h5py.File(path) as file:
        data: Any = file["obsm/edge" if name == "unfiltered_edge" else "obsm/chunk"]
        assert len(data[:]) == data.shape[0]


@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_whatever_h5py_compresses_has_its_size(tmp_path: Path, compression: Any, checksum: bool, shuffle: bool) -> None:
    with h5py.File(tmp_path / "fine.h5", "w") as file:
        random = np.random.default_rng(0)
        for name, data in {"noise": random.bytes(99_999), "zeros": bytes(99_999)}.items():
            options: dict[str, Any] = {"compression": compression, "fletcher32": checksum, "shuffle": shuffle}
            made = file.create_dataset(name, data=np.frombuffer(data, dtype="u1"), chunks=(1000,), **options)
            hdf5_storage.check_layout(made.id, name)
            hdf5_storage.check_chunks(made.id, name)


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [((7,), None), ((10, 13), None), ((10, 13), (3, 4)), ((3, 5, 7), (2, 2, 2)), ((0,), None), ((4, 0), None), ((), None)],
)
def test_the_blocks_of_a_dataset_are_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], chunks: Any
) -> None:
    monkeypatch.setattr(hdf5_storage, "BLOCK", 8)
    with h5py.File(tmp_path / "fine.h5", "w") as file:
        data = np.arange(int(np.prod(shape)), dtype="f4").reshape(shape)
        made = file.create_dataset("data", data=data, chunks=chunks)
        found = list(hdf5_storage.blocks(made))
    assert all(block.size <= 8 for block in found)
    joined = np.concatenate([np.zeros(0, dtype="f4"), *found])
    assert sorted(joined) == sorted(data.reshape(-1))
    if len(shape) == 1:
        assert joined.tolist() == data.tolist()


@pytest.fixture
def scanned(tmp_path: Path, good: Path) -> Callable[..., None]:
    """Scans the good file, changed."""

    def run(change: Callable[[Any], object]) -> None:
        path = tmp_path / "changed.h5ad"
        shutil.copy(good, path)
        with h5py.File(path, "r+") as file:
            change(file)
        scan.scan(path, memory=4 * GIB)

    return run


def test_the_limits_are_put_back(good: Path) -> None:
    limits = (scan.resource.RLIMIT_AS, scan.resource.RLIMIT_CPU)
    before = [scan.resource.getrlimit(what) for what in limits]
    scan.scan(good, memory=4 * GIB)
    assert [scan.resource.getrlimit(what) for what in limits] == before


def test_every_encoding_that_anndata_reads_is_known() -> None:
    from anndata._io.specs.registry import _REGISTRY

    kinds = (h5py.Dataset, h5py.Group)
    known = {(key[1].encoding_type, key[1].encoding_version) for key in _REGISTRY.read if key[0] in kinds}
    assert known == anndata_layout.ENCODINGS


def test_an_object_under_two_names_is_met_twice_and_no_harm(scanned: Callable[..., None]) -> None:
    def link(file: Any) -> None:
        file["layers/same"] = file["X"]

    scanned(link)
