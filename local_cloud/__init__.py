"""An AWS on one machine: the Pulumi provider backed by moto, the edge, the hosted login, and what supervises them."""

import sys

# jsonschema, which moto imports, would compile a grammar of IRIs for a format that nothing here asks for, a second or two in each
# process. Without the module it goes without the format.
sys.modules.setdefault("rfc3987_syntax", None)  # pyright: ignore[reportArgumentType]  # None is how an import is refused
