"""Files that appear complete or not at all: `dovetail.ir.files`, under the name studies use."""

from dovetail.ir.files import replaced_file, write_text

__all__ = ["replaced_file", "write_text"]
