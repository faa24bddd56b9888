"""Results in the console: fetched once, checked, drawn, and never trusted."""

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse

from operator_cli.tokens import Tokens

GENES = ["TTN", "MYH7", "<script>alert(1)</script>", "NPPA"]


def annotated(matrix: Any = None, *, umap: bool = True, change: Any = None) -> bytes:
    """An annotated data set as anndata writes it."""
    matrix = (
        scipy.sparse.csr_matrix(np.array([[1, 0, 2, 0], [0, 0, 3, 0], [0.5, 4, 0, 0]], np.float32)) if matrix is None else matrix
    )
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        if scipy.sparse.issparse(matrix):
            group = file.create_group("X")
            group.attrs["encoding-type"] = f"{matrix.format}_matrix"
            group.attrs["shape"] = matrix.shape
            for name in ("data", "indices", "indptr"):
                group[name] = getattr(matrix, name)
        else:
            file["X"] = matrix
        obs, var, obsm = (file.create_group(name) for name in ("obs", "var", "obsm"))
        cells = matrix.shape[0]
        obs.attrs["column-order"] = ["chamber", "leiden", "n_genes"]
        for name, categories, codes in (("chamber", ["LV", "<b>RA</b>"], [0, 1, -1]), ("leiden", ["0", "1"], [1, 0, 1])):
            column = obs.create_group(name)
            column["categories"] = categories
            column["codes"] = np.resize(np.array(codes, np.int8), cells)
        obs["n_genes"] = np.arange(cells)
        var.attrs["_index"] = "index"
        var["index"] = GENES[: matrix.shape[1]] + [f"G{n}" for n in range(len(GENES), matrix.shape[1])]
        if umap:
            obsm["X_umap"] = np.arange(2 * cells, dtype=np.float64).reshape(cells, 2)
        if change is not None:
            change(file)
    return stream.getvalue()


def _column(header: dict[str, Any], data: bytes, name: str) -> tuple[dict[str, Any], Any]:
    (column,) = (each for each in header["columns"] if each["name"] == name)
    kind = "<f4" if column["type"] == "float32" else "<u2"
    assert column["offset"] % 8 == 0
    return column, np.frombuffer(data, kind, header["cells"], column["offset"])


def test_cells_come_as_columns(console: Any, results: Any, signed_in: Tokens, analysis_id: str, header_of: Any) -> None:
    results({"annotated.h5ad": annotated()})
    answer = console.page.get(f"/console/analyses/{analysis_id}/cells")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "no-store"
    header, data = header_of(answer.content)
    assert header["cells"] == 3
    assert header["genes"] == GENES
    assert [column["name"] for column in header["columns"]] == ["umap_1", "umap_2", "cluster", "chamber"]
    assert _column(header, data, "umap_1")[1].tolist() == [0, 2, 4]
    assert _column(header, data, "umap_2")[1].tolist() == [1, 3, 5]
    cluster, codes = _column(header, data, "cluster")
    assert (cluster["codes"], cluster["categories"], codes.tolist()) == ("uint16", ["0", "1"], [1, 0, 1])
    chamber, codes = _column(header, data, "chamber")
    assert (chamber["categories"], codes.tolist()) == (["LV", "<b>RA</b>"], [0, 1, 65535])


MATRIX = scipy.sparse.csr_matrix(np.where(np.random.default_rng(1).random((700, 90)) < 0.1, 1.5, 0).astype(np.float32))


@pytest.mark.parametrize(
    "matrix",
    [
        MATRIX,
        scipy.sparse.csc_matrix(MATRIX),
        MATRIX.toarray(),
        MATRIX.toarray().astype(np.float64),
        scipy.sparse.csr_matrix((5, 4)),
    ],
    ids=["rows", "columns", "dense", "double", "empty"],
)
@pytest.mark.parametrize("at_once", [7, 4_000_000])
def test_expression_is_that_of_the_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: Any, at_once: int) -> None:
    from operator_cli.console import annotated as program
    from operator_cli.console.results import ResultCalls

    monkeypatch.setattr(program, "AT_ONCE", at_once)
    (tmp_path / "content").write_bytes(annotated(matrix))
    with h5py.File(tmp_path / "content") as file:
        program.write_cells(file, tmp_path / program.CELLS)
        program.write_expression(file, tmp_path)
    calls = ResultCalls(None, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    dense = matrix.toarray() if scipy.sparse.issparse(matrix) else matrix
    for index, name in enumerate((GENES + [f"G{n}" for n in range(len(GENES), dense.shape[1])])[: dense.shape[1]]):
        assert np.frombuffer(calls._column(tmp_path, name) or b"", "<f4").tolist() == dense[:, index].astype(np.float32).tolist()
    assert calls._column(tmp_path, "none such") is None


def test_expression_of_a_gene(console: Any, results: Any, signed_in: Tokens, analysis_id: str, bucket: Any) -> None:
    results({"annotated.h5ad": annotated()})
    for gene, values in (("TTN", [1, 0, 0.5]), ("<script>alert(1)</script>", [2, 3, 0]), ("NPPA", [0, 0, 0])):
        answer = console.page.get(f"/console/analyses/{analysis_id}/expression", params={"gene": gene})
        assert np.frombuffer(answer.content, "<f4").tolist() == values
        assert answer.headers["content-type"] == "application/octet-stream"
    answer = console.page.get(f"/console/analyses/{analysis_id}/expression?gene=none")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_gene")
    # All of it from one transfer.
    assert len(bucket.seen) == 1


def test_an_analysis_without_an_embedding(start_console: Any, results: Any, signed_in: Tokens, analysis_id: str) -> None:
    for files in ({"cells.csv": b"a\n"}, {"annotated.h5ad": annotated(umap=False)}):
        results(files)
        answer = start_console().page.get(f"/console/analyses/{analysis_id}/cells")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_embedding")


def _external(file: h5py.File) -> None:
    with h5py.File(Path(tempfile.gettempdir()) / "another.h5", "w") as other:
        other["X_umap"] = file["obsm/X_umap"][:]  # pyright: ignore[reportIndexIssue]
    del file["obsm/X_umap"]
    file["obsm/X_umap"] = h5py.ExternalLink(str(Path(tempfile.gettempdir()) / "another.h5"), "/X_umap")


def _soft(file: h5py.File) -> None:
    file.move("obsm/X_umap", "obsm/other")
    file["obsm/X_umap"] = h5py.SoftLink("/obsm/other")


def _elsewhere(file: h5py.File) -> None:
    del file["obsm/X_umap"]
    file.create_dataset("obsm/X_umap", (3, 2), "f4", external=[("/etc/passwd", 0, 24)])


def _virtual(file: h5py.File) -> None:
    del file["obsm/X_umap"]
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (3, 2))
    file.create_virtual_dataset("obsm/X_umap", layout)


def _huge(file: h5py.File) -> None:
    del file["obsm/X_umap"]
    file.create_dataset("obsm/X_umap", (10**12, 2), "f4", chunks=(1000, 2))


def _outside(file: Any) -> None:
    file["X/indices"][0] = 400


def _backwards(file: Any) -> None:
    file["X/indptr"][1] = 4


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_external, "no_embedding"),
        (_soft, "no_embedding"),
        (_elsewhere, "unreadable_result"),
        (_virtual, "unreadable_result"),
        (_huge, "unreadable_result"),
    ],
)
def test_an_annotated_data_set_leads_nowhere_else(
    console: Any,
    results: Any,
    signed_in: Tokens,
    analysis_id: str,
    change: Any,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    results({"annotated.h5ad": annotated(change=change)})
    answer = console.page.get(f"/console/analyses/{analysis_id}/cells")
    assert answer.json()["code"] == code


def _no_such_cell(file: Any) -> None:
    matrix = file["X"]
    for name in ("data", "indices", "indptr"):
        del matrix[name]
    matrix.attrs["encoding-type"] = "csc_matrix"
    matrix["data"], matrix["indices"], matrix["indptr"] = np.ones(1, "f4"), np.array([3]), np.array([0, 1, 1, 1, 1])


@pytest.mark.parametrize("change", [_outside, _backwards, _no_such_cell])
def test_a_matrix_that_is_none_is_refused(console: Any, results: Any, signed_in: Tokens, analysis_id: str, change: Any) -> None:
    results({"annotated.h5ad": annotated(change=change)})
    answer = console.page.get(f"/console/analyses/{analysis_id}/expression?gene=TTN")
    assert (answer.status_code, answer.json()["code"]) == (422, "unreadable_result")


def test_what_is_not_hdf5_is_refused(console: Any, results: Any, signed_in: Tokens, analysis_id: str) -> None:
    results({"annotated.h5ad": b"cos\nsystem\n(S'touch /tmp/x'\ntR."})
    answer = console.page.get(f"/console/analyses/{analysis_id}/cells")
    assert (answer.status_code, answer.json()["code"]) == (422, "unreadable_result")
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("announced", [{"sha256": "0" * 64}, {"bytes": 3}, {"bytes": 300}])
def test_a_result_that_is_not_what_was_announced_is_not_shown(
    console: Any, results: Any, signed_in: Tokens, analysis_id: str, state: Path, announced: dict[str, Any]
) -> None:
    results({"a.csv": b"x\n1\n"}, **announced)
    answer = console.page.get(f"/console/analyses/{analysis_id}/tables/a.csv")
    assert (answer.status_code, answer.json()["code"]) == (502, "checksum_mismatch")
    (cache,) = (each for each in (state / "heartmapctl").glob("console-cache-*") if each.is_dir())
    assert not list(cache.iterdir())


@pytest.mark.parametrize(
    "name",
    ["../../escape.csv", "/etc/passwd.csv", "..", "a\\..\\b.csv", "con.csv", "a\nb.csv", "<img src=x onerror=alert(1)>.csv"],
)
def test_the_name_of_a_result_is_no_path(
    console: Any, results: Any, signed_in: Tokens, analysis_id: str, state: Path, tmp_path: Path, name: str
) -> None:
    content = b"x\n1\n"
    results({name: content})
    before = {path for path in tmp_path.rglob("*") if "console-cache" not in str(path)}
    ticket = console.page.post("/console/downloads", json={"analysis_id": analysis_id, "name": name})
    answer = console.page.get(ticket.json()["path"])
    assert answer.content == content
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "\n" not in answer.headers["content-disposition"]
    assert answer.headers["content-type"] == "application/octet-stream"
    console.page.get(f"/console/analyses/{analysis_id}/files/{name}".replace("\n", "%0A"))
    assert {path for path in tmp_path.rglob("*") if "console-cache" not in str(path)} == before
    for path in (state / "heartmapctl").rglob("console-cache-*/**/*"):
        assert path.name == "content" or len(path.name) == 64


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.js", "a.xml", "a.png.html", "a"])
def test_no_result_is_a_page(console: Any, results: Any, signed_in: Tokens, analysis_id: str, name: str) -> None:
    results({name: b"<script>alert(1)</script>"})
    answer = console.page.get(f"/console/analyses/{analysis_id}/files/{name}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_pictures_are_drawn(console: Any, results: Any, signed_in: Tokens, analysis_id: str) -> None:
    results({"umap_clusters.png": b"\x89PNG\r\n\x1a\n"})
    answer = console.page.get(f"/console/analyses/{analysis_id}/files/umap_clusters.png")
    assert answer.headers["content-type"] == "image/png"
    assert "content-disposition" not in answer.headers
    assert answer.content == b"\x89PNG\r\n\x1a\n"


def test_tables_are_typed(console: Any, results: Any, signed_in: Tokens, analysis_id: str) -> None:
    text = 'gene,score,p,empty,mixed\n<script>,1.5,nan,,1\n"a,b",-2e-3,inf,,x\nshort,3\n'
    results({"marker_genes.csv": text.encode()})
    document = console.page.get(f"/console/analyses/{analysis_id}/tables/marker_genes.csv").json()
    assert document == {
        "columns": [
            {"name": "gene", "type": "text"},
            {"name": "score", "type": "number"},
            {"name": "p", "type": "number"},
            {"name": "empty", "type": "text"},
            {"name": "mixed", "type": "text"},
        ],
        "rows": [["<script>", 1.5, None, "", "1"], ["a,b", -0.002, None, "", "x"], ["short", 3, None, "", ""]],
        "truncated": False,
    }


def test_a_table_has_bounds(
    console: Any, results: Any, signed_in: Tokens, analysis_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operator_cli.console.tables.MOST_ROWS", 3)
    results(
        {
            "a.csv": b"x\n1\n2\n3\n",
            "b.csv": b"x\n1\n2\n3\n4\n",
            "c.csv": b'x\n"' + b"a" * (csv.field_size_limit() + 1),
            "d.csv": b"",
        }
    )

    def table(name: str) -> Any:
        return console.page.get(f"/console/analyses/{analysis_id}/tables/{name}.csv")

    assert (len(table("a").json()["rows"]), table("a").json()["truncated"]) == (3, False)
    assert (len(table("b").json()["rows"]), table("b").json()["truncated"]) == (3, True)
    assert table("c").json()["code"] == "unreadable_result"
    assert table("d").json() == {"columns": [], "rows": [], "truncated": False}


@pytest.mark.parametrize("analysis", ["x", "..", "01J8ZQ4Y7M3W5X9K2B6C1D0EF", "%2e%2e", "01J8ZQ4Y7M3W5X9K2B6C1D0EFG%2f.."])
def test_an_analysis_has_an_id(console: Any, server: Any, signed_in: Tokens, analysis: str) -> None:
    for rest in ("cells", "expression?gene=a", "tables/a.csv", "files/a.png"):
        assert console.page.get(f"/console/analyses/{analysis}/{rest}").status_code == 404
    assert not server.seen


def test_the_cache_is_private_and_bounded(
    console: Any, results: Any, signed_in: Tokens, analysis_id: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operator_cli.console.cache.LARGEST_TOTAL", 25)
    monkeypatch.setattr("operator_cli.console.cache.LARGEST_FILE", 20)
    results({"a.csv": b"x\n1\n", "b.csv": b"x\n" + b"2" * 8, "c.csv": b"x\n" + b"3" * 14, "d.csv": b"4" * 30})
    (cache,) = (each for each in (state / "heartmapctl").glob("console-cache-*") if each.is_dir())
    assert cache.stat().st_mode & 0o777 == 0o700

    def fetch(name: str) -> int:
        return console.page.get(f"/console/analyses/{analysis_id}/tables/{name}.csv").status_code

    assert fetch("a") == fetch("b") == fetch("a") == fetch("c") == 200
    # The one that was used longest ago made room.
    assert sum(path.stat().st_size for path in cache.rglob("content")) == 4 + 16
    assert fetch("d") == 413
    monkeypatch.setattr("operator_cli.console.cache.LEFT_FREE", 2**62)
    assert fetch("b") == 507


@pytest.mark.parametrize("url", ["http://169.254.169.254/x", "file:///etc/passwd", "http://evil.example/x"])
def test_results_come_from_a_safe_address_only(console: Any, results: Any, signed_in: Tokens, analysis_id: str, url: str) -> None:
    results({"a.csv": b"x\n"}, url=url)
    answer = console.page.get(f"/console/analyses/{analysis_id}/tables/a.csv")
    assert answer.status_code == 502
    assert "not safe" in answer.json()["detail"]


def test_a_download_is_opened_once_and_soon(
    console: Any, results: Any, signed_in: Tokens, analysis_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    results({"annotated.h5ad": b"h5" * 300_000})
    asked = {"analysis_id": analysis_id, "name": "annotated.h5ad"}
    path = console.page.post("/console/downloads", json=asked).json()["path"]
    # The browser opens it: cookie, no key.
    with console.stranger(Cookie="; ".join(f"{name}={value}" for name, value in console.cookie.items())) as browser:
        answer = browser.get(path)
        assert answer.content == b"h5" * 300_000
        assert answer.headers["content-disposition"] == 'attachment; filename="annotated.h5ad"'
        assert answer.headers["content-length"] == "600000"
        assert browser.get(path).status_code == 404
        monkeypatch.setattr("operator_cli.console.downloads.TICKET_SECONDS", -1)
        late = console.page.post("/console/downloads", json=asked).json()["path"]
        assert browser.get(late).status_code == 404
        assert browser.post(path).status_code == 403
    with console.stranger() as thief:
        assert thief.get(late).status_code == 401
    assert console.page.post("/console/downloads", json=asked | {"name": "none"}).status_code == 404


@pytest.mark.parametrize("announced", [{"sha256": "0" * 64}, {"bytes": 700_000}, {"bytes": 500_000}])
def test_a_download_that_is_not_what_was_announced_breaks_off(
    console: Any, results: Any, signed_in: Tokens, analysis_id: str, announced: dict[str, Any]
) -> None:
    import httpx

    results({"a.h5ad": b"h5" * 300_000}, **announced)
    path = console.page.post("/console/downloads", json={"analysis_id": analysis_id, "name": "a.h5ad"}).json()["path"]
    try:
        assert console.page.get(path).json()["code"] == "checksum_mismatch"
    except httpx.RemoteProtocolError:
        # It came out when the head had been sent already.
        assert announced != {"bytes": 500_000}


def test_no_answer_about_results_holds_a_secret(console: Any, results: Any, signed_in: Tokens, analysis_id: str) -> None:
    results({"annotated.h5ad": annotated(), "a.csv": b"x\n1\n", "b.png": b"png"})
    base = f"/console/analyses/{analysis_id}"
    answers = [
        console.page.get(path)
        for path in (
            f"{base}/cells",
            f"{base}/expression?gene=TTN",
            f"{base}/tables/a.csv",
            f"{base}/tables/none.csv",
            f"{base}/files/b.png",
            f"/api/analyses/{analysis_id}/results",
            "/console/session",
            "/",
        )
    ]
    ticket = console.page.post("/console/downloads", json={"analysis_id": analysis_id, "name": "a.csv"})
    answers += [ticket, console.page.get(ticket.json()["path"])]
    for answer in answers:
        everything = answer.content + str(answer.headers).encode()
        for secret in ("presigned-secret", "X-Amz", "/results/", signed_in.access_token, str(signed_in.refresh_token)):
            if not (secret == "/results/" and answer.url.path == "/"):
                assert secret.encode() not in everything, answer.url
