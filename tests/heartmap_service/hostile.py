"""Hostile and broken .h5ad files, by name, each with the code that it is refused with.

Each starts from what write_h5ad writes and breaks one thing. hostile_run.py scans them.
"""

import ctypes
import io
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from heartmap_service.settings import MIB

CELLS, GENES = 80, 120
CANARY_TEXT = "canary-of-the-host-7f3a"
# The stubs of h5py lack half of its low-level interface.
File = Any
h5d: Any = h5py.h5d
h5s: Any = h5py.h5s
h5t: Any = h5py.h5t


@dataclass(frozen=True, kw_only=True)
class Hostile:
    code: str
    change: Callable[[File], object] | None = None
    patch: Callable[[bytes], bytes] | None = None


HOSTILE: dict[str, Hostile] = {}
CANARY = "canary"
"""Where the file lies that nothing may open, from the directory in which the hostile file is scanned."""


def changed(code: str) -> Callable[[Callable[[File], object]], Callable[[File], object]]:
    """A hostile file made through h5py, opened for writing."""

    def keep(change: Callable[[File], object]) -> Callable[[File], object]:
        HOSTILE[change.__name__] = Hostile(code=code, change=change)
        return change

    return keep


def patched(code: str, change: Callable[[File], object] | None = None) -> Callable[..., Callable[[bytes], bytes]]:
    """A hostile file made from the bytes of a good one, after ``change`` where there is one."""

    def keep(patch: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        HOSTILE[patch.__name__] = Hostile(code=code, change=change, patch=patch)
        return patch

    return keep


def seed(path: Path) -> None:
    """A data set with something of everything, which passes."""
    random = np.random.default_rng(7)
    data = anndata.AnnData(scipy.sparse.csr_matrix(random.poisson(0.8, (CELLS, GENES)).astype(np.float32)))
    data.obs_names = [f"cell-{number}" for number in range(CELLS)]
    data.var_names = [f"GENE{number}" for number in range(GENES)]
    data.obs["kind"] = pd.Categorical(["atrium", "ventricle"] * (CELLS // 2))
    data.obs["depth"] = random.normal(size=CELLS)
    data.obs["flag"] = pd.array([True, None] * (CELLS // 2), dtype="boolean")
    data.obs["note"] = ["é"] * CELLS
    data.raw = data
    data.obsm["X_umap"] = np.zeros((CELLS, 2))
    data.uns["nested"] = {"deeper": {"array": np.arange(3), "text": "x"}}
    data.write_h5ad(path)


def write(name: str, good: bytes, path: Path) -> None:
    """Makes one hostile file at ``path`` from the bytes of the good one."""
    hostile = HOSTILE[name]
    path.write_bytes(good)
    if hostile.change is not None:
        with h5py.File(path, "r+") as file:
            hostile.change(file)
    if hostile.patch is not None:
        path.write_bytes(hostile.patch(path.read_bytes()))


# What is no HDF5, or not all of it


@patched("empty_file")
def empty(_: bytes) -> bytes:
    return b""


@patched("not_hdf5")
def comma_separated(_: bytes) -> bytes:
    return b"gene,cell1\nTTN,3\n" * 100


@patched("not_hdf5")
def zip_archive(_: bytes) -> bytes:
    return b"PK\x03\x04" + bytes(1000)


@patched("not_hdf5")
def signature_at_the_wrong_place(good: bytes) -> bytes:
    return bytes(511) + good


@patched("user_block")
def user_block(good: bytes) -> bytes:
    return b"<script>alert(1)</script>".ljust(512, b"\0") + good


@patched("unreadable")
def signature_alone(good: bytes) -> bytes:
    return good[:8]


@patched("unreadable")
def signature_and_zeros(good: bytes) -> bytes:
    return good[:8] + bytes(4096)


@patched("unreadable")
def cut_to_a_half(good: bytes) -> bytes:
    return good[: len(good) // 2]


@patched("unreadable")
def cut_by_a_byte(good: bytes) -> bytes:
    return good[:-1]


@patched("unreadable")
def unknown_superblock(good: bytes) -> bytes:
    return good[:8] + b"\x09" + good[9:]


@patched("unreadable")
def addresses_of_four_bytes(good: bytes) -> bytes:
    return good[:13] + b"\x04" + good[14:]


@patched("unreadable")
def base_address_elsewhere(good: bytes) -> bytes:
    return good[:24] + (1 << 40).to_bytes(8, "little") + good[32:]


@patched("unreadable")
def zeros_in_the_middle(good: bytes) -> bytes:
    start = good.index(b"TREE")
    return good[:start] + bytes(len(good) - start)


@patched("split_file")
def one_part_of_a_family(good: bytes) -> bytes:
    block = b"\0\0\0\0" + (8).to_bytes(4, "little") + b"NCSAfami" + (1 << 20).to_bytes(8, "little")
    grown = good + block
    return grown[:40] + len(grown).to_bytes(8, "little") + len(good).to_bytes(8, "little") + grown[56:]


@patched("split_file")
def driver_of_several_files(good: bytes) -> bytes:
    names = b"../" + CANARY.encode() + b"\0"
    block = b"\0\0\0\0" + (8 + len(names)).to_bytes(4, "little") + b"NCSAmult" + bytes(8) + names
    grown = good + block
    return grown[:40] + len(grown).to_bytes(8, "little") + len(good).to_bytes(8, "little") + grown[56:]


# Out of the file


@changed("external_link")
def link_to_another_file(file: File) -> None:
    file["uns/secret"] = h5py.ExternalLink(CANARY, "/")


@changed("external_link")
def obs_in_another_file(file: File) -> None:
    file.move("obs", "uns/obs")
    file["obs"] = h5py.ExternalLink(CANARY, "/obs")


@changed("external_link")
def raw_in_another_file(file: File) -> None:
    del file["raw"]
    file["raw"] = h5py.ExternalLink(CANARY, "/raw")


@changed("external_link")
def data_of_x_in_another_file(file: File) -> None:
    del file["X/data"]
    file["X/data"] = h5py.ExternalLink(CANARY, "/X/data")


@changed("external_link")
def categories_in_another_file(file: File) -> None:
    del file["obs/kind/categories"]
    file["obs/kind/categories"] = h5py.ExternalLink(CANARY, "/")


@changed("external_link")
def link_to_the_environment(file: File) -> None:
    file["varm/x"] = h5py.ExternalLink("/proc/self/environ", "/")


@changed("external_link")
def soft_link_through_an_external_one(file: File) -> None:
    file["layers/a"] = h5py.ExternalLink(CANARY, "/group")
    file["layers/b"] = h5py.SoftLink("/layers/a/deeper")


@changed("external_storage")
def values_in_another_file(file: File) -> None:
    file["uns"].create_dataset("secret", shape=(8,), dtype="u1", external=[(CANARY, 0, 8)])


@changed("external_storage")
def matrix_in_another_file(file: File) -> None:
    replace(file["X"], "data", shape=(100,), dtype="f4", external=[("/proc/self/environ", 0, h5py.h5f.UNLIMITED)])


@changed("external_storage")
def column_in_another_file(file: File) -> None:
    replace(file["obs"], "note", shape=(CELLS,), dtype="S8", external=[(CANARY, 0, 8 * CELLS)])


@changed("virtual_dataset")
def values_of_another_file(file: File) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(CANARY, "x", shape=(4,))
    file["uns"].create_virtual_dataset("virtual", layout)


@changed("virtual_dataset")
def unlimited_values_of_another_file(file: File) -> None:
    """HDF5 opens the sources of such a dataset to say how long it is."""
    layout = h5py.VirtualLayout(shape=(1,), maxshape=(None,), dtype="u1")
    source = h5py.VirtualSource(CANARY, "x", shape=(1,), maxshape=(None,))
    layout[: h5s.UNLIMITED] = source[: h5s.UNLIMITED]
    file["obs"].create_virtual_dataset("virtual", layout)


@changed("virtual_dataset")
def values_of_the_same_file_as_x(file: File) -> None:
    del file["X"]
    layout = h5py.VirtualLayout(shape=(CELLS, GENES), dtype="f4")
    layout[:] = h5py.VirtualSource(".", "/layers/x", shape=(CELLS, GENES))
    file.create_virtual_dataset("X", layout)


# Links


@changed("soft_link")
def soft_link(file: File) -> None:
    file["uns/again"] = h5py.SoftLink("/X")


@changed("soft_link")
def soft_link_in_place_of_x(file: File) -> None:
    file.move("X", "hidden")
    file["X"] = h5py.SoftLink("/hidden")


@changed("soft_link")
def soft_link_in_place_of_raw(file: File) -> None:
    file.move("raw", "uns/raw")
    file["raw"] = h5py.SoftLink("/uns/raw")


@changed("soft_link")
def dangling_soft_link(file: File) -> None:
    file["layers/nothing"] = h5py.SoftLink("/nowhere")


@changed("soft_link")
def soft_link_to_itself(file: File) -> None:
    file["uns/self"] = h5py.SoftLink("/uns/self")


def _link_to_be_changed(file: File) -> None:
    file["uns/userdefined"] = h5py.ExternalLink("nowhere", "/")


@patched("unknown_link", _link_to_be_changed)
def link_of_a_kind_of_its_own(good: bytes) -> bytes:
    place = good.index(b"userdefined") - 2
    assert good[place] == h5py.h5l.TYPE_EXTERNAL  # pyright: ignore[reportAttributeAccessIssue]
    return good[:place] + b"\xc8" + good[place + 1 :]


@changed("cyclic_links")
def group_within_itself(file: File) -> None:
    file["uns/loop"] = file["uns"]


@changed("cyclic_links")
def root_within_itself(file: File) -> None:
    file["uns/nested/root"] = file["/"]


@changed("too_many_objects")
def thousands_of_paths_by_a_few_links(file: File) -> None:
    group = file["uns"].create_group("laughs")
    for _ in range(16):
        inner = group.create_group("a")
        group["b"] = inner
        group = inner


@changed("too_large")
def one_dataset_under_many_names(file: File) -> None:
    data = file["obsm"].create_dataset("big", shape=(64 * MIB,), dtype="u1")
    for number in range(100):
        file[f"obsm/again{number}"] = data


@changed("too_deep")
def deep_groups(file: File) -> None:
    file["uns"].create_group("/".join("g" * 64))


@changed("too_many_objects")
def many_objects(file: File) -> None:
    group = file["uns"].id
    for number in range(10_001):
        h5py.h5g.create(group, str(number).encode())


def _lone_name(file: File) -> None:
    file["uns"].create_group("lonely").create_group("slash!name")


@patched("bad_name", _lone_name)
def name_of_two_parts(good: bytes) -> bytes:
    return good.replace(b"slash!name", b"slash/name")


@patched("bad_name", _lone_name)
def name_that_is_a_dot(good: bytes) -> bytes:
    return good.replace(b"slash!name", b".\0\0\0\0\0\0\0\0\0")


@changed("bad_name")
def name_that_is_no_utf_8(file: File) -> None:
    h5py.h5g.create(file["uns"].id, b"\xff\xfe")


@changed("bad_name")
def name_of_two_thousand_bytes(file: File) -> None:
    file["uns"].create_group("n" * 2000)


# Declared sizes


@changed("too_large")
def terabytes_declared(file: File) -> None:
    file["uns"].create_dataset("bomb", shape=(1 << 20, 1 << 20), dtype="f8", chunks=(1024, 1024), compression="gzip")


@changed("too_large")
def size_that_wraps_to_nothing(file: File) -> None:
    file["uns"].create_dataset("bomb", shape=(1 << 32, 1 << 32), dtype="u1", chunks=(1024, 1024))


@changed("too_large")
def size_that_wraps_in_the_matrix(file: File) -> None:
    del file["X"]
    file.create_dataset("X", shape=(1 << 33, 1 << 33), dtype="f4", chunks=(1024, 1024))


@changed("too_large")
def matrix_that_fits_once_but_not_in_copies(file: File) -> None:
    del file["X"]
    file.create_dataset("X", shape=(25_000, 25_000), dtype="f4", chunks=(100, 2500), compression="gzip")


@changed("too_large")
def one_huge_chunk(file: File) -> None:
    file["uns"].create_dataset("bomb", shape=(1,), maxshape=(None,), dtype="u1", chunks=((1 << 32) - 1,), compression="gzip")


@changed("chunk_too_large")
def one_large_chunk(file: File) -> None:
    file["uns"].create_dataset("bomb", shape=(1,), maxshape=(None,), dtype="u1", chunks=(512 * MIB,), compression="gzip")


@changed("too_many_chunks")
def a_chunk_for_each_value(file: File) -> None:
    file["uns"].create_dataset("bomb", shape=(1 << 20,), dtype="u1", chunks=(1,))


@changed("too_many_chunks")
def chunks_beyond_the_shape(file: File) -> None:
    data = file["uns"].create_dataset("bomb", shape=(70_000,), maxshape=(None,), dtype="u1", chunks=(1,))
    data[:] = 1
    data.resize((1,))
    # Shrinking frees the chunks; so they are written once more, beyond the shape, as a hostile writer would.
    data.resize((70_000,))


@changed("too_large")
def many_texts(file: File) -> None:
    file["uns"].create_dataset("bomb", shape=(1 << 27,), dtype=h5py.string_dtype(), chunks=(1 << 16,))


@changed("text_too_long")
def text_of_two_gigabytes_of_fixed_length(file: File) -> None:
    kind = h5t.C_S1.copy()
    kind.set_size((1 << 31) - 1)
    low_level(file["uns"], "bomb", kind, (1,))


@changed("too_large")
def records_of_many_fields(file: File) -> None:
    fields = [(f"f{number}", "S1000") for number in range(400)]
    file["uns"].create_dataset("bomb", shape=(20_000,), dtype=np.dtype(fields), chunks=(10,))


@changed("too_large")
def array_type_of_many_values(file: File) -> None:
    low_level(file["uns"], "bomb", h5t.array_create(h5t.NATIVE_DOUBLE, (1 << 10, 1 << 10)), (1000,))


@changed("shape_mismatch")
def sparse_shape_bomb(file: File) -> None:
    file["X"].attrs["shape"] = np.array([1 << 40, 1 << 40])


@changed("attributes_too_large")
def large_attributes(file: File) -> None:
    for number in range(20):
        file["uns"].attrs.create(f"bomb{number}", np.zeros(7000), dtype="f8")


@changed("too_many_attributes")
def many_attributes(file: File) -> None:
    for number in range(33):
        file["uns"].attrs[f"a{number}"] = 1


@changed("too_many_attributes")
def many_attributes_everywhere(file: File) -> None:
    first = file["uns"].create_group("first")
    for attribute in range(30):
        first.attrs[f"a{attribute}"] = 1
    for number in range(1400):
        file.copy(first, f"uns/g{number}")


# Types


@changed("unsupported_type")
def references(file: File) -> None:
    file["uns"].create_dataset("reference", data=np.array([file["X"].ref], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)


@changed("unsupported_type")
def references_to_regions(file: File) -> None:
    region = file["X/data"].regionref[:3]
    file["uns"].create_dataset("region", data=np.array([region], dtype=h5py.regionref_dtype), dtype=h5py.regionref_dtype)


@changed("unsupported_type")
def references_in_an_attribute(file: File) -> None:
    file["uns"].attrs["reference"] = file["X"].ref


@changed("unsupported_type")
def dimension_scales(file: File) -> None:
    file["obsm"].create_dataset("scale", data=np.arange(CELLS)).make_scale("cells")
    file["obsm/X_umap"].dims[0].attach_scale(file["obsm/scale"])


@changed("unsupported_type")
def sequences_of_variable_length(file: File) -> None:
    file["uns"].create_dataset("ragged", shape=(3,), dtype=h5py.vlen_dtype(np.int32))


@changed("unsupported_type")
def sequences_in_an_attribute(file: File) -> None:
    file["uns"].attrs.create("ragged", [np.arange(3), np.arange(4)], dtype=h5py.vlen_dtype(np.int32), shape=(2,))


@changed("unsupported_type")
def opaque_values(file: File) -> None:
    kind = h5t.create(h5t.OPAQUE, 16)
    kind.set_tag(b"pickle")
    low_level(file["uns"], "opaque", kind, (3,))


@changed("unsupported_type")
def bit_fields(file: File) -> None:
    low_level(file["uns"], "bits", h5t.STD_B32LE, (3,))


@changed("unsupported_type")
def times(file: File) -> None:
    low_level(file["uns"], "times", h5t.UNIX_D32LE, (3,))


@changed("unsupported_type")
def enumeration(file: File) -> None:
    file["uns"].create_dataset("enum", data=[0, 1], dtype=h5py.enum_dtype({"RED": 0, "GREEN": 1}, basetype="i1"))


@changed("unsupported_type")
def records_in_records(file: File) -> None:
    kind = np.dtype([("x", "f4")])
    for _ in range(8):
        kind = np.dtype([("inner", kind)])
    file["uns"].create_dataset("records", shape=(2,), dtype=kind)


@changed("unsupported_type")
def floating_point_of_no_machine(file: File) -> None:
    kind = h5t.IEEE_F64LE.copy()
    kind.set_fields(63, 32, 31, 0, 32)
    low_level(file["uns"], "odd", kind, (3,))


@changed("named_type")
def named_type(file: File) -> None:
    file["uns/type"] = np.dtype("f8")


# Storage


@changed("unsupported_filter")
def plug_in_filter(file: File) -> None:
    filtered(file, 32015)


@changed("unsupported_filter")
def filter_that_nobody_knows(file: File) -> None:
    filtered(file, 299)


@changed("unsupported_filter")
def filter_with_parameters_for_c(file: File) -> None:
    file["uns"].create_dataset("scaled", shape=(10,), chunks=(10,), dtype="i4", scaleoffset=4)


@changed("too_many_filters")
def compressed_twice(file: File) -> None:
    filtered(file, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_LZF)


@changed("too_many_filters")
def compressed_by_gzip_twice(file: File) -> None:
    filtered(file, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_DEFLATE)


@changed("compression_bomb")
def chunk_that_unpacks_to_half_a_gigabyte(file: File) -> None:
    chunk(file["obsm"], zlib.compress(bytes(512 * MIB)), compression="gzip")


@changed("compression_bomb")
def chunk_of_x_that_unpacks_to_one_value_more(file: File) -> None:
    size = len(file["X/data"])
    replace(file["X"], "data", shape=(size,), dtype="f4", chunks=(size,), compression="gzip")
    file["X/data"].id.write_direct_chunk((0,), zlib.compress(np.ones(size + 1, dtype="f4").tobytes()))


@changed("compression_bomb")
def lzf_chunk_that_unpacks_to_more(file: File) -> None:
    # One literal byte, then copies of 264 bytes from one back.
    chunk(file["obsm"], b"\x00a" + b"\xe0\xff\x00" * 8000, compression="lzf")


def _plain_chunk(file: File) -> None:
    chunk(file["obsm"], bytes(MIB))


def _other_size(good: bytes, size: int) -> bytes:
    """Says another size of the only chunk, in the first key of the index of chunks."""
    key = MIB.to_bytes(4, "little") + bytes(4 + 8 + 8)
    (place,) = [found.end() for found in re.finditer(rb"TREE\x01.{19}", good, re.DOTALL) if good[found.end() :].startswith(key)]
    return good[:place] + size.to_bytes(4, "little") + good[place + 4 :]


@patched("compression_bomb", _plain_chunk)
def chunk_that_is_larger_than_it_may_be(good: bytes) -> bytes:
    return _other_size(good, MIB + 1)


@patched("damaged_chunk", _plain_chunk)
def chunk_that_is_shorter_than_it_should_be(good: bytes) -> bytes:
    return _other_size(good, 5)


@changed("damaged_chunk")
def chunk_that_unpacks_to_less(file: File) -> None:
    """HDF5 takes the rest from the memory of the process."""
    chunk(file["obsm"], zlib.compress(b"hello"), compression="gzip")


@changed("damaged_chunk")
def column_that_unpacks_to_less(file: File) -> None:
    replace(file["obs"], "depth", shape=(CELLS,), dtype="u1", chunks=(CELLS,), compression="gzip")
    file["obs/depth"].id.write_direct_chunk((0,), zlib.compress(b"hello"))


@changed("damaged_chunk")
def lzf_chunk_that_unpacks_to_less(file: File) -> None:
    chunk(file["obsm"], b"\x04hello", compression="lzf")


@changed("damaged_chunk")
def chunk_that_is_not_compressed_after_all(file: File) -> None:
    chunk(file["obsm"], b"hello", mask=1, compression="gzip")


@changed("damaged_chunk")
def chunk_that_is_no_gzip(file: File) -> None:
    chunk(file["obsm"], b"\xff" * 100, compression="gzip")


@changed("damaged_chunk")
def gzip_that_ends_early(file: File) -> None:
    chunk(file["obsm"], zlib.compress(os.urandom(MIB))[: MIB // 2], compression="gzip")


@changed("damaged_chunk")
def shuffled_chunk_with_a_checksum_that_unpacks_to_less(file: File) -> None:
    chunk(file["obsm"], zlib.compress(bytes(1000)) + bytes(4), compression="gzip", shuffle=True, fletcher32=True)


@changed("unreadable")
def checksum_that_does_not_fit(file: File) -> None:
    size = len(file["X/data"])
    replace(file["X"], "data", shape=(size,), dtype="f4", chunks=(size,), fletcher32=True)
    file["X/data"].id.write_direct_chunk((0,), np.ones(size, dtype="f4").tobytes() + b"\xff\x00\xff\x00")


@changed("unsupported_filter")
def unfiltered_edge(file: File) -> None:
    """What lies at the edge is not unpacked, and HDF5 takes what it lacks from the memory of the process."""
    library = ctypes.CDLL(h5py.h5p.__file__)
    library.H5Pset_chunk_opts.argtypes = (ctypes.c_int64, ctypes.c_uint)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((MIB,))
    properties.set_deflate(4)
    library.H5Pset_chunk_opts(properties.id, 2)
    data = h5d.create(file["obsm"].id, b"edge", h5t.NATIVE_UINT8, h5s.create_simple((MIB + 1,)), dcpl=properties)
    data.write_direct_chunk((MIB,), zlib.compress(bytes(MIB)))


# Text


@changed("text_too_long")
def one_long_text(file: File) -> None:
    file["uns/novel"] = "x" * (2 * MIB)


@changed("text_too_long")
def one_long_name_of_a_cell(file: File) -> None:
    file["obs/_index"][3] = "x" * (2 * MIB)


def _one_text_many_times(file: File) -> None:
    replace(file["obs"], "note", data=["x" * (16 * MIB)] + ["y"] * (CELLS - 1), dtype=h5py.string_dtype())


@patched("text_too_long", _one_text_many_times)
def many_rows_that_are_one_large_text(good: bytes) -> bytes:
    return _first_for_all(good, 16 * MIB, CELLS)


def _one_text_after_short_ones(file: File) -> None:
    texts = ["x" * (16 * MIB)] + ["y"] * 5999
    file["uns"].create_dataset("texts", data=texts, dtype=h5py.string_dtype())


@patched("too_much_text", _one_text_after_short_ones)
def many_rows_that_are_one_large_text_after_short_ones(good: bytes) -> bytes:
    with h5py.File(io.BytesIO(good)) as file:
        place = file["uns/texts"].id.get_offset()
    first, short = good[place : place + 16], good[place + 16 : place + 32]
    return good[:place] + short * 5000 + first * 1000 + good[place + 16 * 6000 :]


def _one_text_a_thousand_times(file: File) -> None:
    texts = ["x" * (MIB - 1)] + ["y"] * 1999
    file["uns"].create_dataset("texts", data=texts, dtype=h5py.string_dtype())


@patched("too_much_text", _one_text_a_thousand_times)
def thousands_of_texts_that_are_just_short_enough(good: bytes) -> bytes:
    return _first_for_all(good, MIB - 1, 2000)


def _first_for_all(good: bytes, length: int, rows: int) -> bytes:
    """Points all of a column's texts to its first: 16 bytes each, which begin with its length."""
    with h5py.File(io.BytesIO(good)) as file:
        place = file["uns/texts" if "uns/texts" in file else "obs/note"].id.get_offset()
    assert int.from_bytes(good[place : place + 4], "little") == length
    return good[:place] + good[place : place + 16] * rows + good[place + 16 * rows :]


@changed("not_utf8")
def names_that_are_no_utf_8(file: File) -> None:
    replace(file["var"], "_index", data=[b"\xff\xfe"] * GENES, dtype=h5py.string_dtype())


@changed("not_utf8")
def fixed_text_that_is_no_utf_8(file: File) -> None:
    replace(file["obs"], "note", data=np.array([b"\xc3\x28"] * CELLS))


# Tables


@changed("not_anndata")
def other_hdf5(file: File) -> None:
    for name in list(file):
        del file[name]
    file["matrix/data"] = np.arange(10)


@changed("not_anndata")
def no_obs(file: File) -> None:
    del file["obs"]


@changed("not_anndata")
def no_var(file: File) -> None:
    del file["var"]


@changed("not_anndata")
def raw_without_var(file: File) -> None:
    del file["X"]
    del file["raw/var"]


@changed("not_anndata")
def obs_that_is_no_table(file: File) -> None:
    del file["obs"]
    file["obs"] = np.arange(CELLS)


@changed("not_anndata")
def var_that_is_a_dictionary(file: File) -> None:
    file["var"].attrs["encoding-type"] = "dict"
    file["var"].attrs["encoding-version"] = "0.1.0"


@changed("unsupported_encoding")
def encoding_of_another_version(file: File) -> None:
    file["obs"].attrs["encoding-version"] = "9.9.9"


@changed("unsupported_encoding")
def encoding_that_nobody_knows(file: File) -> None:
    file["X"].attrs["encoding-type"] = "pickle"


@changed("unsupported_encoding")
def encoding_that_is_no_text(file: File) -> None:
    file["X"].attrs["encoding-type"] = np.arange(10)


@changed("unsupported_encoding")
def encoding_that_is_many_texts(file: File) -> None:
    file.attrs["encoding-type"] = ["anndata"] * 1000


@changed("unsupported_encoding")
def file_of_another_kind(file: File) -> None:
    file.attrs["encoding-type"] = "MuData"


@changed("too_costly")
def categories_by_the_million(file: File) -> None:
    """Few bytes, and each a text of its own in memory."""
    values = np.arange(12_000_000, dtype="u8")
    replace(file["obs/kind"], "categories", data=values, chunks=(1 << 16,), compression="gzip", compression_opts=1, shuffle=True)


@changed("bad_index")
def no_index(file: File) -> None:
    del file["obs"].attrs["_index"]


@changed("bad_index")
def index_elsewhere(file: File) -> None:
    file["obs"].attrs["_index"] = "../var/_index"


@changed("bad_index")
def index_at_the_root(file: File) -> None:
    file["obs"].attrs["_index"] = "/var/_index"


@changed("bad_index")
def index_that_is_not_there(file: File) -> None:
    del file["obs/_index"]


@changed("bad_index")
def index_of_numbers(file: File) -> None:
    replace(file["obs"], "_index", data=np.arange(CELLS))


@changed("bad_index")
def index_of_two_dimensions(file: File) -> None:
    replace(file["obs"], "_index", data=np.array([[b"a", b"b"]] * CELLS))


@changed("bad_index")
def index_without_a_shape(file: File) -> None:
    replace(file["obs"], "_index", data=h5py.Empty("S1"))


@changed("bad_index")
def index_that_is_a_number_in_the_attribute(file: File) -> None:
    file["obs"].attrs["_index"] = 7


@changed("bad_columns")
def columns_that_are_not_there(file: File) -> None:
    file["obs"].attrs["column-order"] = ["kind", "nowhere"]


@changed("bad_columns")
def columns_elsewhere(file: File) -> None:
    file["obs"].attrs["column-order"] = ["kind", "/raw/var/_index"]


@changed("bad_columns")
def columns_listed_twice(file: File) -> None:
    file["obs"].attrs["column-order"] = ["kind", "kind"]


@changed("bad_columns")
def columns_not_listed(file: File) -> None:
    del file["obs"].attrs["column-order"]


@changed("bad_columns")
def columns_listed_in_a_table(file: File) -> None:
    file["obs"].attrs["column-order"] = [["kind"], ["depth"]]


@changed("shape_mismatch")
def column_too_short(file: File) -> None:
    replace(file["obs"], "depth", data=np.zeros(3))


@changed("shape_mismatch")
def index_too_long(file: File) -> None:
    replace(file["obs"], "_index", data=["x"] * (CELLS + 1), dtype=h5py.string_dtype())


@changed("bad_column")
def column_of_two_dimensions(file: File) -> None:
    replace(file["obs"], "depth", data=np.zeros((CELLS, 2)))


@changed("bad_column")
def column_without_a_shape(file: File) -> None:
    replace(file["obs"], "depth", data=h5py.Empty("f4"))


@changed("bad_column")
def column_of_records(file: File) -> None:
    replace(file["obs"], "depth", data=np.zeros(CELLS, dtype=[("a", "f4")]))


@changed("bad_column")
def table_in_a_table(file: File) -> None:
    del file["obs/depth"]
    file.copy("var", "obs/depth")


@changed("bad_column")
def numbers_that_are_said_to_be_text(file: File) -> None:
    file["obs/depth"].attrs["encoding-type"] = "string-array"


@changed("bad_column")
def mask_that_is_too_short(file: File) -> None:
    replace(file["obs/flag"], "mask", data=np.zeros(3, dtype=bool))


@changed("bad_column")
def mask_of_numbers(file: File) -> None:
    replace(file["obs/flag"], "mask", data=np.zeros(CELLS))


@changed("bad_column")
def categories_without_codes(file: File) -> None:
    del file["obs/kind/codes"]


@changed("bad_column")
def categories_without_an_order(file: File) -> None:
    del file["obs/kind"].attrs["ordered"]


@changed("bad_categories")
def codes_out_of_range(file: File) -> None:
    file["obs/kind/codes"][0] = 99


@changed("bad_categories")
def codes_below_minus_one(file: File) -> None:
    file["obs/kind/codes"][0] = -2


@changed("bad_categories")
def categories_defined_twice(file: File) -> None:
    replace(file["obs/kind"], "categories", data=["same", "same"], dtype=h5py.string_dtype())


@changed("bad_categories")
def categories_that_are_missing_values(file: File) -> None:
    replace(file["obs/kind"], "categories", data=np.array([1.0, np.nan]))


@changed("bad_categories")
def categories_by_reference_to_elsewhere(file: File) -> None:
    by_reference(file, file["raw/var/_index"].ref)


@changed("bad_categories")
def categories_by_reference_to_what_has_no_name(file: File) -> None:
    """An object that no link leads to was never walked: it may lie in another file."""
    hidden = file["uns"].create_dataset("hidden", shape=(2,), dtype="S8", external=[(CANARY, 0, 16)])
    reference = hidden.ref
    file.flush()
    h5py.h5o.link(hidden.id, file["uns"].id, b"again")  # pyright: ignore[reportAttributeAccessIssue]
    by_reference(file, reference)
    del file["uns/hidden"], file["uns/again"]


@changed("bad_categories")
def categories_by_no_reference(file: File) -> None:
    by_reference(file, "/var/_index")


@changed("bad_column")
def legacy_table_with_a_table_in_it(file: File) -> None:
    legacy(file, [("index", "S8"), ("inner", "f4", (3,))])


@changed("bad_index")
def legacy_table_without_names(file: File) -> None:
    legacy(file, [("depth", "f4"), ("index", "S8")])


@changed("unsupported_encoding")
def legacy_file_with_a_new_element(file: File) -> None:
    legacy(file, [("index", "S8"), ("depth", "f4")])
    file["uns/nested"].attrs["encoding-type"] = "pickle"


# The matrix


@changed("no_matrix")
def no_matrix(file: File) -> None:
    del file["X"], file["raw"]


@changed("no_matrix")
def matrix_without_a_shape(file: File) -> None:
    del file["X"], file["raw"]
    file["X"] = h5py.Empty("f4")


@changed("unsupported_encoding")
def matrix_that_is_a_plain_group(file: File) -> None:
    del file["X"].attrs["encoding-type"], file["X"].attrs["encoding-version"]


@changed("unsupported_encoding")
def matrix_in_two_formats(file: File) -> None:
    file["X"].attrs["h5sparse_format"] = "csc"


@changed("shape_mismatch")
def matrix_of_another_size(file: File) -> None:
    file["X"].attrs["shape"] = np.array([CELLS, GENES - 1])


@changed("shape_mismatch")
def matrix_of_one_dimension(file: File) -> None:
    replace(file, "X", data=np.zeros(CELLS))


@changed("shape_mismatch")
def matrix_of_a_negative_size(file: File) -> None:
    file["X"].attrs["shape"] = np.array([-CELLS, GENES])


@changed("bad_sparse_matrix")
def matrix_whose_size_is_text(file: File) -> None:
    file["X"].attrs["shape"] = ["80", "120"]


@changed("bad_sparse_matrix")
def matrix_of_three_sizes(file: File) -> None:
    file["X"].attrs["shape"] = np.array([CELLS, GENES, 1])


@changed("bad_sparse_matrix")
def index_beyond_the_columns(file: File) -> None:
    file["X/indices"][7] = GENES


@changed("bad_sparse_matrix")
def negative_index(file: File) -> None:
    file["X/indices"][7] = -1


@changed("bad_sparse_matrix")
def index_that_wraps(file: File) -> None:
    indices = file["X/indices"][:].astype("u8")
    indices[7] = (1 << 64) - 1
    replace(file["X"], "indices", data=indices)


@changed("bad_sparse_matrix")
def pointers_that_go_back(file: File) -> None:
    file["X/indptr"][5] = file["X/indptr"][60]


@changed("bad_sparse_matrix")
def pointers_beyond_the_data(file: File) -> None:
    file["X/indptr"][CELLS] = file["X/indptr"][CELLS] + 1000


@changed("bad_sparse_matrix")
def pointers_that_begin_late(file: File) -> None:
    file["X/indptr"][0] = 1


@changed("bad_sparse_matrix")
def too_few_pointers(file: File) -> None:
    replace(file["X"], "indptr", data=file["X/indptr"][:-1])


@changed("bad_sparse_matrix")
def no_pointers_at_all(file: File) -> None:
    del file["X/indptr"]


@changed("bad_sparse_matrix")
def indices_of_two_dimensions(file: File) -> None:
    replace(file["X"], "indices", data=file["X/indices"][:].reshape(-1, 1))


@changed("bad_sparse_matrix")
def data_shorter_than_indices(file: File) -> None:
    replace(file["X"], "data", data=file["X/data"][:-1])


@changed("bad_sparse_matrix")
def indices_that_are_no_integers(file: File) -> None:
    replace(file["X"], "indices", data=file["X/indices"][:].astype("f8"))


@changed("duplicate_entries")
def one_index_twice(file: File) -> None:
    file["X/indices"][8] = file["X/indices"][7]


@changed("duplicate_entries")
def one_index_twice_out_of_order(file: File) -> None:
    start, end = file["X/indptr"][1:3]
    file["X/indices"][end - 1] = file["X/indices"][start]


@changed("duplicate_entries")
def more_values_in_a_row_than_columns(file: File) -> None:
    pointers = np.full(CELLS + 1, len(file["X/data"]))
    pointers[0] = 0
    file["X/indptr"][:] = pointers


@changed("not_finite")
def not_a_number(file: File) -> None:
    file["X/data"][3] = np.nan


@changed("not_finite")
def infinite(file: File) -> None:
    file["X/data"][3] = -np.inf


@changed("not_finite")
def beyond_single_precision(file: File) -> None:
    replace(file["X"], "data", data=np.full(file["X/data"].shape, 1e300))


@changed("not_finite")
def dense_and_not_a_number_in_the_last_place(file: File) -> None:
    values = np.ones((CELLS, GENES), dtype="f4")
    values[-1, -1] = np.nan
    replace(file, "X", data=values, chunks=(7, 11))


@changed("negative_values")
def negative(file: File) -> None:
    file["X/data"][3] = -1
    del file["raw"]


@changed("negative_values")
def negative_in_raw_as_well(file: File) -> None:
    file["X/data"][3] = -1
    file["raw/X/data"][3] = -1


@changed("not_numeric")
def text_for_numbers(file: File) -> None:
    replace(file["X"], "data", data=np.array([b"a"] * len(file["X/indices"])))


@changed("not_numeric")
def complex_numbers(file: File) -> None:
    replace(file["X"], "data", data=file["X/data"][:].astype("c16"))


@changed("too_few_cells")
def too_few_cells(file: File) -> None:
    subset(file, 40, GENES)


@changed("too_few_genes")
def too_few_genes(file: File) -> None:
    subset(file, CELLS, 40)


@changed("too_few_cells")
def no_cells(file: File) -> None:
    subset(file, 0, GENES)


# How they are made


def replace(group: Any, name: str, **arguments: Any) -> None:
    """Another dataset in the place of what is there, with its attributes."""
    attributes = {key: group[name].attrs[key] for key in group[name].attrs} if isinstance(group[name], h5py.Dataset) else {}
    del group[name]
    group.create_dataset(name, **arguments).attrs.update(attributes)


def low_level(group: Any, name: str, kind: Any, shape: tuple[int, ...]) -> None:
    h5d.create(group.id, name.encode(), kind, h5s.create_simple(shape))


def filtered(file: File, *filters: int) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((10,))
    for number in filters:
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
    h5d.create(file["uns"].id, b"filtered", h5t.NATIVE_INT32, h5s.create_simple((10,)), dcpl=properties)


def chunk(group: Any, stored: bytes, *, mask: int = 0, **arguments: Any) -> None:
    """A dataset of one MiB in one chunk, which holds ``stored`` instead."""
    data = group.create_dataset("chunk", shape=(MIB,), chunks=(MIB,), dtype="u1", **arguments)
    data.id.write_direct_chunk((0,), stored, mask)


def by_reference(file: File, reference: Any) -> None:
    """obs as anndata 0.7 wrote it, with the categories of its column where ``reference`` leads."""
    obs = file["obs"]
    obs.attrs["encoding-version"] = "0.1.0"
    del obs["kind"]
    obs.create_dataset("kind", data=np.zeros(CELLS, dtype="i1"))
    obs["kind"].attrs["categories"] = reference


def legacy(file: File, fields: list[Any]) -> None:
    """obs and var as compound datasets, without encodings: anndata before 0.7."""
    del file["obs"], file["var"], file["raw"]
    file["obs"] = np.zeros(CELLS, dtype=fields)
    file["var"] = np.zeros(GENES, dtype=[("index", "S8"), ("mean", "f4")])


def subset(file: File, cells: int, genes: int) -> None:
    for name in ("obs", "var", "X", "raw"):
        del file[name]
    data = anndata.AnnData(np.ones((cells, genes), dtype=np.float32))
    data.obs_names = [f"c{number}" for number in range(cells)]
    data.var_names = [f"g{number}" for number in range(genes)]
    for name in ("obs", "var", "X"):
        anndata.io.write_elem(file, name, getattr(data, name))
