"""Telling what is plainly not HDF5 by its first bytes, without HDF5."""

from typing import BinaryIO

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(file: BinaryIO) -> bool:
    """Whether the format's signature is at 0, or at 512, 1024, 2048, … behind a user block. Leaves the position at 0.

    https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html, "Superblock".
    """
    size = file.seek(0, 2)
    position = 0
    found = False
    while not found and position + len(_SIGNATURE) <= size:
        file.seek(position)
        found = file.read(len(_SIGNATURE)) == _SIGNATURE
        position = max(512, position * 2)
    file.seek(0)
    return found
