"""What an uploaded file must be before HeartMAP sees it. Runs in the sandbox; opens the file with h5py and follows nothing out
of it.

First the structure, without reading a value (hdf5_structure.py); then how the values are stored, before any is believed
(hdf5_storage.py); then the tables of AnnData (anndata_layout.py) and the values of the matrix, in blocks (matrix_values.py).
All of it within MEMORY, whatever the file makes of HDF5.
"""

import contextlib
import math
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import h5py

from heartmap_service.anndata_layout import check_root, table_length
from heartmap_service.catalogue import MIN_CELLS, MIN_GENES
from heartmap_service.hdf5_signature import is_hdf5
from heartmap_service.hdf5_storage import MAX_CHUNK_BYTES, Texts, check_chunks, check_layout, out_of_memory
from heartmap_service.hdf5_structure import Node, Tree, check_superblock, tree, walk
from heartmap_service.matrix_values import check_matrix, is_matrix
from heartmap_service.refusals import Refused, refusal
from heartmap_service.settings import GIB, MIB

__all__ = ["Facts", "Refused", "scan"]

BASE_MEMORY = 900 * MIB
"""Address space of a job before it has read anything: the interpreter, HeartMAP and its libraries."""
COPIES = 4
"""HeartMAP holds at least so many copies of the matrix at once: raw, filtered, normalised, and the one being made."""
MEMORY = 768 * MIB
"""Address space that a scan may take, beyond what the process has when it begins."""

SECONDS = 4
"""Time of the processor that a scan may take to see what a file declares, and again to read what is small."""
BYTES_A_SECOND = 25 * MIB
"""Declared bytes for which it may take another second: some eight times what gzip needs."""

_MATRICES = (("X", "var"), ("raw/X", "raw/var"), ("raw.X", "raw.var"))


@dataclass(frozen=True, kw_only=True)
class Facts:
    """``matrix`` is the path in the file of the matrix to analyse, ``var`` that of its genes; ``counts`` says that all its values
    are whole numbers."""

    cells: int
    genes: int
    matrix: str
    var: str
    counts: bool
    legacy: bool
    """Written by anndata before 0.7, with obs and var as compound datasets."""
    values: int
    """Values that the matrix stores: all of them, or those of a sparse matrix."""
    sparse: bool
    declared_bytes: int
    """Bytes in memory that the whole file declares."""


def scan(path: Path, *, memory: int) -> Facts:
    """Refuses what is no AnnData file of counts that fits into ``memory`` bytes; else what it holds.

    Lowers this process's limits of address space and processor time while it runs. Raises Refused.
    """
    with path.open("rb") as stream:
        if stream.seek(0, 2) == 0:
            raise refusal("empty_file")
        if not is_hdf5(stream):
            raise refusal("not_hdf5")
        check_superblock(stream)
    try:
        # One driver, named: HDF5 would take another from the file's own words or from the environment.
        with _bounded(), h5py.File(path, "r", driver="sec2", locking=False, rdcc_nbytes=MAX_CHUNK_BYTES) as file:
            return _scan(file, memory)
    except (MemoryError, OSError, RuntimeError, KeyError, ValueError) as error:
        if out_of_memory(error):
            raise refusal("too_costly", memory=MEMORY // MIB) from error
        # HDF5's own refusals: truncated, damaged, or of a kind that it does not know.
        raise refusal("unreadable") from error


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Whatever is in the file, HDF5 and numpy get no more than MEMORY on top of what this process has now, and SECONDS.

    An endless loop within HDF5 can be ended by nothing but the end of the process, which is SIGXCPU's.
    """
    memory, time = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    try:
        _lower(resource.RLIMIT_AS, memory, pages * resource.getpagesize() + MEMORY)
        _lower(resource.RLIMIT_CPU, time, math.ceil(process_time()) + SECONDS)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        resource.setrlimit(resource.RLIMIT_CPU, time)


def _lower(what: int, now: tuple[int, int], most: int) -> None:
    soft, hard = now
    resource.setrlimit(what, (most if soft == resource.RLIM_INFINITY else min(soft, most), hard))


def _scan(file: Node, memory: int) -> Facts:
    time = resource.getrlimit(resource.RLIMIT_CPU)
    objects = tree(file, _checked(file, memory))
    # The hard limit stands for the one that was there before: it is a little above it.
    seconds = SECONDS + sum(objects.cost.values()) // BYTES_A_SECOND
    _lower(resource.RLIMIT_CPU, (time[1], time[1]), math.ceil(process_time()) + seconds)
    texts = Texts()
    for path in objects.datasets:
        dataset = file[path]
        check_chunks(dataset.id, path)
        texts.check(dataset, path)
    return _facts(objects)


def _checked(file: Node, memory: int) -> Iterator[tuple[str, Node, int]]:
    """The objects of the file, as long as what they declare fits and is stored in the file, plainly."""
    matrices = rest = 0
    for path, node, size in walk(file):
        if path in ("X", "raw/X", "raw.X") or path.startswith(("X/", "raw/X/", "raw.X/")):
            matrices += size
        else:
            rest += size
        if BASE_MEMORY + COPIES * matrices + rest > memory:
            raise refusal("too_large", declared=f"{(matrices + rest) / GIB:.1f}", memory=f"{memory / GIB:.1f}")
        if isinstance(node, h5py.h5d.DatasetID):
            check_layout(node, path)
        yield path, node, size


def _facts(objects: Tree) -> Facts:
    legacy = check_root(objects)
    cells = table_length(objects, "obs", legacy=legacy)
    first: Refused | None = None
    for path, var in _MATRICES:
        if not is_matrix(objects, path):
            continue
        genes = table_length(objects, var, legacy=legacy)
        try:
            matrix = check_matrix(objects, path, cells, genes)
        except Refused as refused:
            # Scaled values in X are common, with what they were made from in raw.
            if refused.code != "negative_values":
                raise
            first = first or refused
            continue
        if cells < MIN_CELLS:
            raise refusal("too_few_cells", found=cells, least=MIN_CELLS)
        if genes < MIN_GENES:
            raise refusal("too_few_genes", found=genes, least=MIN_GENES)
        return Facts(
            cells=cells,
            genes=genes,
            matrix=path,
            var=var,
            counts=matrix.counts,
            legacy=legacy,
            values=matrix.values,
            sparse=matrix.sparse,
            declared_bytes=sum(objects.cost.values()),
        )
    raise first or refusal("no_matrix")
