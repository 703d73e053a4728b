"""make docs: the technical document as a PDF.

    python -m documents.pdf

Mermaid draws the diagrams, pandoc makes HTML of the Markdown, and WeasyPrint prints it. It is built anew only when
its sources have changed. Why these tools: docs/decisions/0019-documents-construits.md.
"""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urljoin

import yaml

from documents.figures import last_day
from documents.stamp import keyword, keywords_of
from documents.typography import typeset
from tools.command import FailedError, ask, one_line, require, run_program
from tools.local.front import SITE
from tools.repository import APPLICATION, REPOSITORY

PAGE = REPOSITORY / "docs" / "documentation-technique.md"
PDF = PAGE.with_suffix(".pdf")
PRINT = REPOSITORY / "documents" / "print"
MARK = SITE / "favicon.svg"  # print.css has it on the cover
DIAGRAMS = REPOSITORY / "documents" / "mermaid"
MERMAID = REPOSITORY / ".build" / "mermaid" / "node_modules" / ".bin" / "mmdc"


def pictures(page: str) -> list[Path]:
    """Return the pictures that a page shows."""
    return [PAGE.parent / name for name in re.findall(r"^!\[[^]]*\]\(([^):]+)\)", page, re.MULTILINE)]


def sources() -> list[Path]:
    """Return what the PDF is made of."""
    return [PAGE, *sorted(PRINT.iterdir()), MARK, DIAGRAMS / "mermaid.json", *pictures(PAGE.read_text())]


def main() -> None:
    """Build the PDF, unless there is one of these sources.

    Raises:
        FailedError: if a program refuses its part.
    """
    mark = keyword(sources())
    if keywords_of(PDF) == mark:
        return
    with TemporaryDirectory() as directory:
        drawn = draw(PAGE, Path(directory))
        print_html(html(drawn.read_text(), mark), drawn.parent)
    print(f"wrote {PDF.relative_to(REPOSITORY)}")


def draw(page: Path, into: Path) -> Path:
    """Write a page with pictures in place of its diagrams, and return where.

    Raises:
        FailedError: if Mermaid cannot read one.
    """
    require("chromium", "run tools/setup.sh docs")
    browser = into / "browser.json"
    # In a container, and for root, Chromium cannot make its sandbox; it sees our own diagrams only.
    browser.write_text('{"executablePath": "/usr/bin/chromium", "args": ["--no-sandbox"]}')
    drawn = into / page.name
    (into / "images").symlink_to(page.parent / "images")
    said = ask(MERMAID, "-q", "-p", browser, "-c", DIAGRAMS / "mermaid.json", "-i", page, "-o", drawn)
    if said.returncode:
        told = one_line(said.stderr.partition("\n    at ")[0])
        raise FailedError(f"Mermaid cannot draw a diagram of {page.name}: {told}")
    return drawn


def html(page: str, mark: str) -> str:
    """Return a page's Markdown as HTML; its title and first paragraph are on the cover."""
    import pypandoc  # noqa: PLC0415  # only who builds has it

    title, subtitle, body = page.split("\n\n", 2)
    told = {"pagetitle": title.removeprefix("# "), "subtitle": subtitle, "date": last_day(), "keywords": mark}
    told |= {"css": (PRINT / "print.css").as_uri()}
    arguments = [f"--variable={name}={_plain(text)}" for name, text in told.items()]
    arguments += ["--standalone", "--toc", "--toc-depth=3", f"--template={PRINT / 'template.html'}", "--wrap=none"]
    return in_french(pypandoc.convert_text(body, "html", format="gfm", extra_args=arguments))


def in_french(text: str) -> str:
    """Return HTML as French is typeset; code stays as it is."""
    pieces = re.split(r"(<pre.*?</pre>|<code.*?</code>|<style.*?</style>|<[^>]+>)", text, flags=re.DOTALL)
    pieces[::2] = map(typeset, pieces[::2])
    return "".join(pieces)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).split())


def print_html(text: str, beside: Path) -> None:
    """Print HTML whose pictures are in a directory; links to other files lead to the repository."""
    from weasyprint import HTML  # noqa: PLC0415  # only who builds has it

    here = f"{repository_url()}/{PAGE.relative_to(REPOSITORY)}"
    linked = re.sub(r'href="(?!#|\w+:)([^"]+)"', lambda found: f'href="{urljoin(here, found[1])}"', text)
    HTML(string=linked, base_url=f"{beside}/").write_pdf(PDF, pdf_variant="pdf/ua-1")


def repository_url() -> str:
    """Return where GitHub shows the files of the branch that Argo CD follows."""
    source = yaml.safe_load(APPLICATION.read_text())["spec"]["source"]
    return f"{source['repoURL'].removesuffix('.git')}/blob/{source['targetRevision']}"


if __name__ == "__main__":
    sys.exit(run_program("docs", main))
