"""What `make docs` builds as files: each carries a hash of what it is made of, so that a test sees a stale one."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pypdf import PdfReader

MARK = "sources-sha256-"  # before the hash, among a built file's keywords


def source_hash(paths: Iterable[Path]) -> str:
    """Return a hash of the names and contents of files, in whatever order they are given."""
    found = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        content = path.read_bytes()
        found.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def keyword(paths: Iterable[Path]) -> str:
    """Return what a built file has among its keywords."""
    return MARK + source_hash(paths)


def keywords_of(pdf: Path) -> str:
    """Return the keywords that a PDF carries; nothing if it is not there."""
    metadata = PdfReader(pdf).metadata if pdf.exists() else None
    return str(metadata.keywords) if metadata else ""
