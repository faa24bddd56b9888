"""Why a data set is refused: one table of codes and of the sentences that tell its owner what to change."""

from collections.abc import Mapping

_WRITE = "Write it with write_h5ad."

SENTENCES: Mapping[str, str] = {
    # The file as a whole.
    "empty_file": "The file is empty. Upload it again.",
    "not_hdf5": "The file is not HDF5. Save the AnnData object with write_h5ad and upload that file.",
    "unreadable": "The file is damaged, cut short or not written by AnnData. Write it with write_h5ad and check that it opens.",
    "user_block": "The file begins with a block of foreign bytes, which AnnData does not write. Write it with write_h5ad.",
    "split_file": "The file says that it is one part of several. Write the AnnData object into one file, with write_h5ad.",
    "too_large": (
        "The file declares {declared} GiB of data; with {memory} GiB of memory for one analysis that cannot fit. "
        "Upload fewer cells or genes, store the matrix sparse, or drop layers and embeddings."
    ),
    "too_costly": (
        "Reading the file takes more memory than a check may use, {memory} MiB. "
        "Write it with write_h5ad, without chunks or compression of your own, or upload fewer cells or genes."
    ),
    # Its structure.
    "external_link": "The file links to another file. Write the data itself, with write_h5ad.",
    "soft_link": "The file holds symbolic links, which AnnData does not write. Write the data itself, with write_h5ad.",
    "unknown_link": "The file holds links of a kind that AnnData does not write. Write the data itself, with write_h5ad.",
    "cyclic_links": "A group of the file holds itself. Write the AnnData object anew with write_h5ad.",
    "bad_name": "An object of the file has no usable name: too long, not UTF-8, or of several parts. Rename it.",
    "too_many_objects": "The file holds more than {most} objects. Drop what is not X, obs, var or raw.",
    "too_deep": "Groups are nested more than {most} deep. Drop them from uns.",
    "named_type": "The file holds a named data type, which AnnData does not write. Write it with write_h5ad.",
    "unsupported_type": "{name} holds values that are not numbers or text. Drop it and write the object with write_h5ad.",
    "too_many_attributes": "The objects of the file have too many attributes. Drop them and write the object with write_h5ad.",
    "attributes_too_large": "The attributes of an object take more than {most} MiB. Drop them and write it with write_h5ad.",
    # How its values are stored.
    "external_storage": "The file keeps data in another file. Write the data itself, with write_h5ad.",
    "virtual_dataset": "The file assembles data from other files. Write the data itself, with write_h5ad.",
    "unsupported_filter": (
        "{name} is compressed in a way that needs a plug-in. Write the object with write_h5ad and compression='gzip'."
    ),
    "too_many_filters": "{name} is compressed more than once. Write the object with write_h5ad and compression='gzip'.",
    "too_many_chunks": "{name} is stored in too many small pieces. Write the object with write_h5ad, without chunks of your own.",
    "chunk_too_large": "{name} is stored in pieces of more than {most} MiB. Write the object without chunks of your own.",
    "compression_bomb": "{name} unpacks to more than the file declares. Write the object anew with write_h5ad.",
    "damaged_chunk": "{name} unpacks to less than the file declares: it is damaged. Write the object anew with write_h5ad.",
    # Text.
    "text_too_long": "{name} holds a text of more than {most} KiB. Shorten or drop it.",
    "too_much_text": "The file holds more than {most} MiB of text. Drop columns of text, or upload fewer cells.",
    "not_utf8": "{name} holds text that is not UTF-8. Correct it and write the object with write_h5ad.",
    # AnnData's layout.
    "not_anndata": "The file is HDF5 but has no usable {name}: it is not an AnnData object. " + _WRITE,
    "unsupported_encoding": "{name} is encoded in a way that this service does not read. Drop it, or write it with write_h5ad.",
    "bad_index": "The index of {name} is missing, or is not one list of text. Set {name}_names and write it with write_h5ad.",
    "bad_columns": "{name} does not have the columns that it lists. Write the object with write_h5ad.",
    "bad_column": "{name} is a kind of column that AnnData does not write. Drop it.",
    "bad_categories": "{name} has categories that are numbered wrongly or defined twice. Write the object with write_h5ad.",
    "shape_mismatch": "{name} is {found}, but {expected} is needed. Write the AnnData object with write_h5ad.",
    # The matrix.
    "no_matrix": "The file has neither X nor raw. Put the counts in X and write it with write_h5ad.",
    "not_numeric": "{name} does not hold numbers. Put the counts in X.",
    "bad_sparse_matrix": (
        "The sparse matrix {name} is inconsistent: its indices do not fit its shape. Write it again with write_h5ad."
    ),
    "duplicate_entries": (
        "The sparse matrix {name} holds two values for the same cell and gene. Call sum_duplicates() on it and write it again."
    ),
    "not_finite": "{name} holds values that are missing, infinite or too large. Replace them, usually by 0.",
    "negative_values": "{name} holds negative values, so no counts. Put the counts in X, or in raw.",
    "too_few_cells": "The data set has {found} cells; HeartMAP needs at least {least}. Add cells.",
    "too_few_genes": "The data set has {found} genes; HeartMAP needs at least {least}. Add genes.",
}
"""By code. ``{name}`` is the place in the file, the rest are figures."""

_LONGEST_NAME = 60


class Refused(Exception):  # a verdict on the file
    """The data set cannot be analysed. ``detail`` tells its owner what to change."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def refusal(code: str, **values: object) -> Refused:
    """To be raised. Names come from the file: they are cut, and what is not printable is shown escaped."""
    if "name" in values:
        name = str(values["name"]).encode("unicode_escape").decode("ascii")
        values["name"] = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return Refused(code, SENTENCES[code].format(**values))
