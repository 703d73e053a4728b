"""Builds docs/presentation/presentation.pptx, and the PDF of it by LibreOffice."""

import subprocess
import sys
import tempfile
from pathlib import Path

from pptx import Presentation

from documents.slides.deck import build
from documents.slides.source import PDF, PRESENTATION, load
from documents.stamp import keywords_of
from tools.command import FailedError, Parser, one_line, require, run_program


def convert(presentation: Path, pdf: Path) -> None:
    """Write the PDF of a presentation.

    Raises:
        RefusedError: if LibreOffice is missing.
        FailedError: if it does not make it.
    """
    require("soffice", "install LibreOffice Impress (on Debian the package libreoffice-impress)")
    with tempfile.TemporaryDirectory() as scratch:
        profile = f"-env:UserInstallation={(Path(scratch) / 'profile').as_uri()}"
        command = ["soffice", "--headless", profile, "--convert-to", "pdf", "--outdir", scratch, str(presentation)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
        made = Path(scratch) / f"{presentation.stem}.pdf"
        if not made.exists():
            raise FailedError(f"LibreOffice made no PDF of {presentation.name}: {one_line(done.stderr)}")
        pdf.write_bytes(made.read_bytes())


def main() -> None:
    """Do what the command line says.

    Raises:
        RefusedError: if it cannot be begun.
        FailedError: if a step does not succeed.
    """
    Parser(prog="python -m documents.slides").parse_args()
    deck = build(load())
    # Two files of one content differ, and nobody wants to read of it in Git.
    if keywords(PRESENTATION) == keywords_of(PDF) == deck.core_properties.keywords:
        return
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / PRESENTATION.name
        deck.save(str(built))
        # First the PDF: if LibreOffice fails, both files stay what they were.
        convert(built, PDF)
        PRESENTATION.write_bytes(built.read_bytes())
    print(f"wrote {PRESENTATION.name} and {PDF.name}")


def keywords(presentation: Path) -> str:
    """Return what a built presentation says of its content; nothing if it is not there."""
    found: str = Presentation(str(presentation)).core_properties.keywords if presentation.exists() else ""
    return found


if __name__ == "__main__":
    sys.exit(run_program("slides", main))
