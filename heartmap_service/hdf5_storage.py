"""How the values of a dataset lie in the file, and reading them in pieces.

HDF5 trusts what a filter gives back. When a chunk unpacks to less than the dataset declares, the rest of its values is whatever
lay in the memory of the process; when it unpacks to more, memory is taken until the stream ends. So each chunk is unpacked here
first, to see that it has exactly its size.
"""

import ctypes
import errno
import itertools
import math
import zlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from heartmap_service.hdf5_structure import Node, stored_size
from heartmap_service.refusals import refusal
from heartmap_service.settings import MIB

BLOCK = 1024 * 1024
"""Values that are looked at in one go."""
MAX_CHUNK_BYTES = 64 * MIB
MAX_CHUNKS = 65_536
"""Chunks of one dataset, unless they are as large as h5py makes them for a dataset of that size."""
ORDINARY_CHUNK_BYTES = 8 * 1024
MAX_TEXT_BYTES = 1 * MIB
MAX_TEXTS_BYTES = 512 * MIB

_GZIP, _SHUFFLE, _CHECKSUM, _LZF = 1, 2, 3, 32000
# What write_h5ad writes without a plug-in. HDF5's own others parse parameters from the file in C, and nobody uses them.
_FILTERS = frozenset({_GZIP, _SHUFFLE, _CHECKSUM, _LZF})
_CHECKSUM_BYTES = 4
_PIECE = 4 * MIB
_TEXTS = 4096
"""Texts that are read in one go."""
_DONT_FILTER_PARTIAL_CHUNKS = 2
# h5py has no interface to these two; both libraries are those that it brings and has loaded.
_HDF5 = ctypes.CDLL(h5py.h5p.__file__)
_HDF5.H5Pget_chunk_opts.argtypes = (ctypes.c_int64, ctypes.POINTER(ctypes.c_uint))
_LZF_LIBRARY = ctypes.CDLL(h5py.h5z.__file__, use_errno=True)
_LZF_LIBRARY.lzf_decompress.argtypes = (ctypes.c_char_p, ctypes.c_uint, ctypes.c_char_p, ctypes.c_uint)
_LZF_LIBRARY.lzf_decompress.restype = ctypes.c_uint


def check_layout(dataset: Node, name: str) -> None:
    """Refuses what could not be unpacked in bounded time and memory. Reads no value."""
    properties = dataset.get_create_plist()
    filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    if not _FILTERS.issuperset(filters):
        raise refusal("unsupported_filter", name=name)
    if len(set(filters)) < len(filters) or {_GZIP, _LZF}.issubset(filters):
        raise refusal("too_many_filters", name=name)
    if properties.get_layout() == h5py.h5d.CHUNKED:
        _check_grid(dataset, properties, name)


def check_chunks(dataset: Node, name: str) -> None:
    """Refuses a dataset with a chunk that does not unpack to exactly its size."""
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5py.h5d.CHUNKED:
        return
    size = _chunk_bytes(dataset, properties)
    filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    places: list[Any] = []
    # All of them are found before the first is read: HDF5 must not be called from within an iteration of its own.
    dataset.chunk_iter(places.append)
    if len(places) > _most_chunks(dataset, properties):
        raise refusal("too_many_chunks", name=name)
    for place in places:
        found = _found_size(dataset, place, filters, size)
        if found != size:
            raise refusal("compression_bomb" if found > size else "damaged_chunk", name=name)


def blocks(dataset: Any) -> Iterator[np.ndarray[Any, Any]]:
    """The values of an h5py.Dataset, flat, in pieces of at most BLOCK; those of one dimension in their order."""
    # Whole chunks, or each would be unpacked many times.
    for part in _tiles(dataset.shape, dataset.chunks, BLOCK):
        values = dataset[part].reshape(-1)
        for start in range(0, values.size, BLOCK):
            yield values[start : start + BLOCK]


class Texts:
    """All text in one file, looked at and counted: many values of variable length may be one and the same large text."""

    def __init__(self) -> None:
        self._bytes = 0

    def check(self, dataset: Any, name: str) -> None:
        """Refuses text of an h5py.Dataset that is too long, too much or not UTF-8; other values are not read."""
        if dataset.shape is None or not _has_text(dataset.dtype):
            return
        for texts in _texts(dataset):
            if max(map(len, texts), default=0) > MAX_TEXT_BYTES:
                raise refusal("text_too_long", name=name, most=MAX_TEXT_BYTES // 1024)
            joined = b"\n".join(texts)
            self._bytes += len(joined)
            if self._bytes > MAX_TEXTS_BYTES:
                raise refusal("too_much_text", most=MAX_TEXTS_BYTES // MIB)
            try:
                joined.decode("utf-8")
            except UnicodeDecodeError:
                raise refusal("not_utf8", name=name) from None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error is for want of memory; HDF5 says so in words alone."""
    return isinstance(error, MemoryError) or "memory allocation failed" in str(error) or "allocate" in str(error)


def _tiles(shape: tuple[int, ...], chunks: tuple[int, ...] | None, most: int) -> Iterator[tuple[slice, ...]]:
    """The whole of an array in parts of about ``most`` values, each of whole chunks."""
    tile = list(chunks or (1,) * len(shape))
    for axis in reversed(range(len(shape))):
        tile[axis] = min(max(1, shape[axis]), tile[axis] * max(1, most // math.prod(tile)))
    starts = (range(0, length, step) for length, step in zip(shape, tile, strict=True))
    for corner in itertools.product(*starts):
        yield tuple(slice(start, start + step) for start, step in zip(corner, tile, strict=True))


def _texts(dataset: Any) -> Iterator[list[bytes]]:
    """The texts of a dataset, a few at first: how long they are is known only when they have been read."""
    most = max(1, min(_TEXTS, _PIECE // dataset.dtype.itemsize))
    if dataset.ndim != 1:
        for part in _tiles(dataset.shape, None, max(1, most // 64)):
            yield _read_texts(dataset, part)
        return
    start, number = 0, 1
    while start < dataset.shape[0]:
        texts = _read_texts(dataset, slice(start, start + number))
        yield texts
        start += number
        number = min(most, number * 2) if sum(map(len, texts)) < MIB else max(1, number // 2)


def _read_texts(dataset: Any, part: Any) -> list[bytes]:
    try:
        return list(_flat(np.asarray(dataset[part], dtype=dataset.dtype)))
    except (MemoryError, OSError, RuntimeError) as error:
        if out_of_memory(error):
            raise refusal("too_much_text", most=MAX_TEXTS_BYTES // MIB) from None
        raise


def _has_text(kind: np.dtype[Any]) -> bool:
    if kind.names is not None:
        return any(_has_text(kind[name]) for name in kind.names)
    return kind.base.kind in "OS"


def _flat(values: Any) -> Iterator[bytes]:
    if values.dtype.names is not None:
        for field in values.dtype.names:
            yield from _flat(values[field])
    elif values.dtype.kind in "OS":
        yield from (value if isinstance(value, bytes) else str(value).encode() for value in values.reshape(-1).tolist())


def _check_grid(dataset: Node, properties: Any, name: str) -> None:
    chunk = properties.get_chunk()
    if _chunk_bytes(dataset, properties) > MAX_CHUNK_BYTES:
        raise refusal("chunk_too_large", name=name, most=MAX_CHUNK_BYTES // MIB)
    number = math.prod(-(-length // step) for length, step in zip(dataset.shape, chunk, strict=True))
    most = _most_chunks(dataset, properties)
    if number > most or dataset.get_num_chunks() > most:
        raise refusal("too_many_chunks", name=name)
    options = ctypes.c_uint()
    if _HDF5.H5Pget_chunk_opts(properties.id, ctypes.byref(options)) < 0 or options.value & _DONT_FILTER_PARTIAL_CHUNKS:
        # What lies at the edge is then stored as it is, and nothing but this flag says so.
        raise refusal("unsupported_filter", name=name)


def _chunk_bytes(dataset: Node, properties: Any) -> int:
    return math.prod(properties.get_chunk()) * stored_size(dataset.get_type())


def _most_chunks(dataset: Node, properties: Any) -> int:
    return MAX_CHUNKS if _chunk_bytes(dataset, properties) < ORDINARY_CHUNK_BYTES else 16 * MAX_CHUNKS


def _found_size(dataset: Node, place: Any, filters: list[int], size: int) -> int:
    """Bytes that a chunk gives; -1 when it is damaged."""
    if not filters:
        return place.size
    if place.size > 2 * size + 4096:
        return -1
    mask, stored = dataset.read_direct_chunk(place.chunk_offset)
    # HDF5 has read as many bytes as it believes the chunk to have, which need not be those that its index tells.
    return _unpacked_size(stored, filters, mask, size) if len(stored) == place.size else -1


def _unpacked_size(stored: bytes, filters: list[int], mask: int, most: int) -> int:
    """Bytes that a chunk unpacks to; more than ``most`` as soon as that is certain, and -1 when it does not unpack."""
    size = len(stored)
    data = stored
    for index in reversed(range(len(filters))):
        if mask & (1 << index):
            continue
        if filters[index] == _CHECKSUM:
            size -= _CHECKSUM_BYTES
            data = data[:-_CHECKSUM_BYTES]
        elif filters[index] == _GZIP:
            size = _inflated_size(data, most + _CHECKSUM_BYTES)
        elif filters[index] == _LZF:
            size = _lzf_size(data, most + _CHECKSUM_BYTES)
    return size


def _inflated_size(data: bytes, most: int) -> int:
    inflate = zlib.decompressobj()
    size = 0
    try:
        while not inflate.eof and size <= most:
            piece = inflate.decompress(data, min(_PIECE, most + 1 - size))
            data = inflate.unconsumed_tail
            size += len(piece)
            if not piece and not data:
                return -1
    except zlib.error:
        return -1
    return size


def _lzf_size(data: bytes, most: int) -> int:
    room = ctypes.create_string_buffer(most + 1)
    size = _LZF_LIBRARY.lzf_decompress(data, len(data), room, most + 1)
    if size == 0:
        return most + 1 if ctypes.get_errno() == errno.E2BIG else -1
    return size
