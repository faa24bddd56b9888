"""Walking an HDF5 file without following anything out of it and without reading a value.

HDF5 makes no difference between data in the file and data in any other file that the process can read (external links, external
storage, virtual datasets), and a few bytes can declare terabytes, or groups within themselves. What was walked is what may be
opened: the other parts of the scan open only paths that are in the Tree.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import h5py

from heartmap_service.refusals import refusal
from heartmap_service.settings import MIB

VARIABLE_LENGTH_COST = 80
"""Bytes that a string takes in memory at the least; on file it declares 16."""
MAX_OBJECTS = 10_000
MAX_DEPTH = 32
MAX_NAME_BYTES = 1024
MAX_ATTRIBUTES_OF_ONE = 32
MAX_ATTRIBUTES = 40_000
MAX_ATTRIBUTE_BYTES = 1 * MIB
MAX_FIXED_TEXT = 1 * MIB
MAX_FIELDS = 2048
MAX_NESTING = 4

# h5py declares whatever is looked up as any of its seven kinds, and its stubs lack half of the low-level interface.
Node = Any
_h5o = cast("Any", h5py.h5o)  # pyright: ignore[reportAttributeAccessIssue]
_h5l = cast("Any", h5py.h5l)  # pyright: ignore[reportAttributeAccessIssue]
_h5t = cast("Any", h5py.h5t)
_UNDEFINED = b"\xff" * 8
# Length, address and index of a text of variable length, and its pointer in memory.
_STORED_TEXT, _POINTER = 16, 8
_BOOLEAN = {b"FALSE": 0, b"TRUE": 1}


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Every group and dataset of a file by its path, reached by hard links only."""

    file: Node
    cost: Mapping[str, int]
    """Bytes in memory that each declares, attributes included."""
    datasets: frozenset[str]
    addresses: Mapping[int, str]
    """A path of each object, by where its header is in the file."""

    def dataset(self, path: str) -> Node | None:
        return self.file[path] if path in self.datasets else None

    def group(self, path: str) -> Node | None:
        return self.file[path] if path in self.cost and path not in self.datasets else None


def check_superblock(stream: BinaryIO) -> None:
    """Refuses what the first bytes say of parts outside the file, and addresses that are not of eight bytes.

    The format's specification, III.A "Superblock".
    """
    stream.seek(0)
    head = stream.read(64)
    if head[:8] != b"\x89HDF\r\n\x1a\n":
        # The signature was found further on.
        raise refusal("user_block")
    old = head[8:9] in (b"\0", b"\1")
    if head[13:14] != b"\x08" if old else head[9:10] != b"\x08":
        raise refusal("unreadable")
    driver = 48 + 4 * head[8]
    if old and head[driver : driver + 8] != _UNDEFINED:
        raise refusal("split_file")


def walk(file: Node) -> Iterator[tuple[str, Node, int]]:
    """Every path, its object and the bytes in memory that it declares. Refuses every other link before it is followed.

    An object with two names is met twice, as a reader of the file would; one within itself is refused.
    """
    root = _h5o.open(file.id, b"/")
    counts = _Counts()
    stack: list[tuple[str, Node, tuple[int, ...]]] = [("", root, (_address(root),))]
    yield "", root, _attribute_bytes(root, "/", counts)
    while stack:
        path, group, above = stack.pop()
        for name in _names(group, counts):
            child = _h5o.open(group, name)
            child_path = f"{path}/{name.decode()}" if path else name.decode()
            yield child_path, child, _declared(child, child_path, counts)
            if isinstance(child, h5py.h5g.GroupID):
                address = _address(child)
                if address in above:
                    raise refusal("cyclic_links")
                if len(above) > MAX_DEPTH:
                    raise refusal("too_deep", most=MAX_DEPTH)
                stack.append((child_path, child, (*above, address)))


def tree(file: Node, nodes: Iterator[tuple[str, Node, int]]) -> Tree:
    """What ``walk`` yielded, kept."""
    cost: dict[str, int] = {}
    datasets: set[str] = set()
    addresses: dict[int, str] = {}
    for path, node, size in nodes:
        cost[path] = size
        addresses[_address(node)] = path
        if isinstance(node, h5py.h5d.DatasetID):
            datasets.add(path)
    return Tree(file=file, cost=cost, datasets=frozenset(datasets), addresses=addresses)


def attribute(node: Node, name: str) -> Any:
    """A scalar attribute of text or a number, or a list of them; None where there is none of that kind."""
    key = name.encode()
    if not h5py.h5a.exists(node.id, key):
        return None
    found = h5py.h5a.open(node.id, key)
    if found.get_type().get_class() == _h5t.REFERENCE or found.shape is None:
        return None
    return node.attrs[name]


def text_attribute(node: Node, name: str) -> str | None:
    """An attribute that is one text, or None."""
    value = attribute(node, name)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def referred(tree_: Tree, node: Node, name: str) -> str | None:
    """The path of what an attribute refers to, if that is one object of the Tree.

    A reference is an address: it may lead to what has no name and was never walked.
    """
    key = name.encode()
    found = h5py.h5a.open(node.id, key)
    if found.get_type().get_class() != _h5t.REFERENCE or found.shape != ():
        return None
    reference = node.attrs[name]
    if not isinstance(reference, h5py.Reference) or isinstance(reference, h5py.RegionReference) or not reference:
        return None
    return tree_.addresses.get(_address(h5py.h5r.dereference(reference, node.id)))


def memory_size(kind: Any, name: str, depth: int = 0) -> int:
    """Bytes in memory that one value of a type takes at the least. Refuses what is no number, text or record of them."""
    size = int(kind.get_size())
    group = kind.get_class()
    if group in (_h5t.INTEGER, _h5t.FLOAT) and size <= 16:
        return size
    if group == _h5t.STRING:
        if kind.is_variable_str():
            return VARIABLE_LENGTH_COST
        if size > MAX_FIXED_TEXT:
            raise refusal("text_too_long", name=name, most=MAX_FIXED_TEXT // 1024)
        return size
    if group == _h5t.ENUM and _is_boolean(kind):
        return size
    if depth < MAX_NESTING and group == _h5t.COMPOUND and kind.get_nmembers() <= MAX_FIELDS:
        return sum(memory_size(kind.get_member_type(index), name, depth + 1) for index in range(kind.get_nmembers()))
    if depth < MAX_NESTING and group == _h5t.ARRAY:
        return math.prod(kind.get_array_dims()) * memory_size(kind.get_super(), name, depth + 1)
    raise refusal("unsupported_type", name=name)


def stored_size(kind: Any) -> int:
    """Bytes of one value in the file. HDF5 tells those in memory, where a text of variable length is a pointer."""
    return int(kind.get_size()) + (_STORED_TEXT - _POINTER) * _pointers(kind)


class _Counts:
    def __init__(self) -> None:
        self.objects = 1
        self.attributes = 0

    def add_objects(self, number: int) -> None:
        self.objects += number
        if self.objects > MAX_OBJECTS:
            raise refusal("too_many_objects", most=f"{MAX_OBJECTS:,}")

    def add_attributes(self, number: int) -> None:
        self.attributes += number
        if number > MAX_ATTRIBUTES_OF_ONE or self.attributes > MAX_ATTRIBUTES:
            raise refusal("too_many_attributes")


def _names(group: Node, counts: _Counts) -> list[bytes]:
    """The names in a group, once each is seen to be usable and a hard link."""
    counts.add_objects(group.get_num_objs())
    names: list[bytes] = []
    # By the index of names, as look-ups go: the order of creation has an index of its own, which may leave names out.
    group.links.iterate(lambda name: _keep(names, name), idx_type=h5py.h5.INDEX_NAME)
    for name in names:
        _check_name(name)
        kind = group.links.get_info(name).type
        if kind == _h5l.TYPE_EXTERNAL:
            raise refusal("external_link")
        if kind == _h5l.TYPE_SOFT:
            raise refusal("soft_link")
        if kind != _h5l.TYPE_HARD:
            raise refusal("unknown_link")
    return names


def _keep(names: list[bytes], name: bytes) -> bool | None:
    """Keeps a name; True, which ends the iteration, when a group holds more than it said."""
    names.append(name)
    return len(names) > MAX_OBJECTS or None


def _check_name(name: bytes) -> None:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise refusal("bad_name") from None
    if len(name) > MAX_NAME_BYTES or "/" in text or text in ("", "."):
        raise refusal("bad_name")


def _address(node: Node) -> int:
    return _h5o.get_info(node).addr


def _declared(node: Node, path: str, counts: _Counts) -> int:
    size = _attribute_bytes(node, path, counts)
    if isinstance(node, h5py.h5d.DatasetID):
        return size + _dataset_bytes(node, path)
    if not isinstance(node, h5py.h5g.GroupID):
        raise refusal("named_type")
    return size


def _dataset_bytes(dataset: Node, path: str) -> int:
    properties = dataset.get_create_plist()
    layout = properties.get_layout()
    # Before anything else is asked: HDF5 opens the sources of a virtual dataset to say how long it is.
    if layout == h5py.h5d.VIRTUAL:
        raise refusal("virtual_dataset")
    if properties.get_external_count() > 0:
        raise refusal("external_storage")
    each = _known_size(dataset, path)
    # A chunk is unpacked whole, however little of it the dataset needs.
    chunk = math.prod(properties.get_chunk()) if layout == h5py.h5d.CHUNKED else 0
    space = dataset.get_space()
    empty = space.get_simple_extent_type() == h5py.h5s.NULL
    # In Python's integers: HDF5's and numpy's wrap.
    return max(0 if empty else math.prod(space.shape), chunk) * each


def _known_size(values: Node, name: str) -> int:
    """The memory_size of a dataset or an attribute whose type numpy knows as well."""
    size = memory_size(values.get_type(), name)
    try:
        _ = values.dtype
    except (TypeError, ValueError):
        raise refusal("unsupported_type", name=name) from None
    return size


def _attribute_bytes(node: Node, path: str, counts: _Counts) -> int:
    number = h5py.h5a.get_num_attrs(node)
    counts.add_attributes(number)
    total = 0
    for index in range(number):
        attribute_ = h5py.h5a.open(node, index=index)
        kind = attribute_.get_type()
        # AnnData 0.7 refers to the categories of a column.
        plain = kind.get_class() == _h5t.REFERENCE and attribute_.name == b"categories"
        each = 8 if plain else _known_size(attribute_, f"An attribute of {path or 'the file'}")
        total += math.prod(attribute_.shape or ()) * each
        if total > MAX_ATTRIBUTE_BYTES:
            raise refusal("attributes_too_large", most=MAX_ATTRIBUTE_BYTES // MIB)
    return total


def _pointers(kind: Any) -> int:
    group = kind.get_class()
    if group == _h5t.COMPOUND:
        return sum(_pointers(kind.get_member_type(index)) for index in range(kind.get_nmembers()))
    if group == _h5t.ARRAY:
        return math.prod(kind.get_array_dims()) * _pointers(kind.get_super())
    return int(group == _h5t.STRING and kind.is_variable_str())


def _is_boolean(kind: Any) -> bool:
    """As h5py writes numpy's bool."""
    number = kind.get_nmembers()
    return number == 2 and {kind.get_member_name(index): kind.get_member_value(index) for index in range(2)} == _BOOLEAN
