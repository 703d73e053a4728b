"""make adopt: give a copy of this repository names of its own, in every file that Git tracks.

    make adopt OWNER=acme REPOSITORY=acme/site [REGISTRY=host] [PRODUCT=globex] [ENVIRONMENTS="dev=test"]

The names of now are read from the repository itself, so it can be run again, with the same names or with others. A name
is replaced where it means what is renamed: `dev` in deploy/overlays/dev, not in /dev/null. All are replaced in one
pass, so that no new name is taken for a former one. Why so: docs/decisions/0030-une-copie-prend-ses-noms.md
"""

import argparse
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tools.command import FailedError, RefusedError, ask, do, require_repository
from tools.images import images_of, product
from tools.render import render
from tools.repository import APPLICATION, OVERLAYS, REPOSITORY, environments
from tools.texts import read_yaml

# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
OWNER = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
GITHUB = re.compile(r"[A-Za-z0-9-]+/[\w.-]+")
HOST = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*(:\d+)?")
# One word, so that it is a name for Kubernetes, for Python and for the environment of a process alike.
PRODUCT = re.compile(r"[a-z][a-z0-9]{1,19}")
LABEL = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")
# In a copy nothing of its own is published yet: a commit of its own, from which the first promotion goes on.
TAG = re.compile(r"(?<=newTag: )sha-[0-9a-f]{40}(, digest: sha256:[0-9a-f]{64})?")
# Where a word that is an environment's name means it: English or YAML, and nothing else is called so there.
SPEAK_OF_ENVIRONMENTS = ("deploy/", "argocd/", ".github/", "Makefile", "tools/local/kind.yaml", "tests/cases/")
# What stands before an environment's name elsewhere.
BEFORE = ("overlays/", "../", "secret-", "ENV=", "ENV: ", "v:", "flux-", "schema-", "chore(", ",^", "<<'FIN'\n")
PAGES = "docs/"


@dataclass(frozen=True)
class Names:
    """What a copy calls its own.

    Attributes:
        registry: the host that keeps the images: ghcr.io
        owner: of the images there: datapress
        repository: owner and name, as GitHub has them
        product: datapress, in lower case
        environments: their names, in one order for the former and for the new ones
    """

    registry: str
    owner: str
    repository: str
    product: str
    environments: tuple[str, ...]

    @property
    def organisation(self) -> str:
        """Whose repository it is."""
        return self.repository.partition("/")[0]


def names() -> Names:
    """Return the names that the repository has now."""
    image = images_of(render(REPOSITORY / "deploy" / "base"))[0].name
    registry, _, path = image.partition("/")
    application = read_yaml(APPLICATION)[0]
    address = urlsplit(application["spec"]["source"]["repoURL"]).path
    return Names(
        registry,
        path.rpartition("/")[0],
        address.strip("/").removesuffix(".git"),
        product(),
        tuple(environments()),
    )


def wanted(options: argparse.Namespace, former: Names) -> Names:
    """Return the names that the command line asks for.

    Raises:
        RefusedError: if one of them cannot be such a name.
    """
    given = {"owner": OWNER, "repository": GITHUB, "registry": HOST, "product": PRODUCT}
    chosen = {what: getattr(options, what) or getattr(former, what) for what in given}
    examples = {"owner": "acme", "repository": "acme/site", "registry": "registry.example.org", "product": "globex"}
    for what, pattern in given.items():
        if not pattern.fullmatch(chosen[what]):
            case = "" if what == "repository" else " in lower case"
            raise RefusedError(
                f"{what.upper()}={chosen[what]} cannot be such a name; give one{case} like {examples[what]}"
            )
    renamed = _renamed_environments(options.environment, former.environments)
    return Names(**chosen, environments=tuple(renamed.get(name, name) for name in former.environments))


def _renamed_environments(pairs: list[str], known: tuple[str, ...]) -> dict[str, str]:
    """Return the new names of environments by their former ones.

    Raises:
        RefusedError: if there is no such environment, or a name is taken or none.
    """
    renamed: dict[str, str] = {}
    for pair in pairs:
        before, _, after = pair.partition("=")
        if before not in known and after in known:
            continue  # done by an earlier run
        if before not in known:
            raise RefusedError(f"there is no environment '{before}'; choose one of {', '.join(known)}")
        if not LABEL.fullmatch(after):
            raise RefusedError(
                f"an environment cannot be called '{after}'; give a name in lower case, as in {before}=test-2"
            )
        if after != before and (after in known or after in renamed.values()):
            raise RefusedError(f"another environment is called '{after}'; give {before} a name of its own")
        renamed[before] = after
    return renamed


class Renaming:
    """Replaces the former names by the new ones, and counts by which."""

    def __init__(self, former: Names, new: Names) -> None:
        self.former = former
        self.new = new
        self.counts: Counter[str] = Counter()
        self.files: Counter[str] = Counter()
        self._environments = dict(zip(former.environments, new.environments, strict=True))

    def of_text(self, text: str, path: str) -> str:
        """Return a file's text with the new names."""
        before = self.counts.copy()
        renamed = re.sub("|".join(self._patterns(path)), self._replacement, text)
        # Of what is deployed: a case of a test has digests on purpose.
        if path.startswith(f"{OVERLAYS.parent.name}/") and path.endswith("/kustomization.yaml") and self._other_images:
            renamed = TAG.sub(self._tag, renamed)
        self.files.update((self.counts - before).keys())
        return renamed

    def of_path(self, path: str) -> str:
        """Return where a file goes."""
        former = "|".join(map(re.escape, self.former.environments))
        moved = re.sub(
            rf"(?<=overlays/)({former})(?=/)|(?<=^argocd/)({former})(?=\.yaml$)",
            lambda found: self._environments[found[0]],
            path,
        )
        return moved.replace(self.former.product, self.new.product)

    def _patterns(self, path: str) -> Iterator[str]:
        """Give what to look for, the longer names first: a product may be called as its owner is."""
        former = self.former
        registry, owner = re.escape(former.registry), re.escape(former.owner)
        yield rf"(?P<images>(?<![\w.-]){registry}/{owner}(?![\w-]))"
        yield rf"(?P<repository>(?<![\w.-]){re.escape(former.repository)}(?![\w-]))"
        # An organisation's teams; in a lock file of npm the like is a package.
        if path.startswith(".github/"):
            yield rf"(?P<teams>(?<=@){former.organisation}(?=/))"
        # A page also tells of the registry that GitHub has.
        yield rf"(?P<registry>(?<![\w.-]){registry}{'(?=/)' if path.startswith(PAGES) else ''}(?![\w-]))"
        # Before the product, as it stands after the product's name.
        yield f"(?P<environment>{'|'.join(self._environment_patterns(path))})"
        if former.product == self.new.product:
            return
        # In a string, the n before it may be that of a new line.
        yield rf"(?P<product>(?:(?<![A-Za-z0-9])|(?<=\\n))(?i:{former.product})(?![A-Za-z0-9]))"

    def _environment_patterns(self, path: str) -> Iterator[str]:
        name = f"(?:{'|'.join(map(re.escape, self.former.environments))})"
        for before in (*BEFORE, f"{self.former.product}-"):
            yield rf"(?<={re.escape(before)}){name}(?![\w-])"
        yield rf"(?<=`){name}(?=`)"
        yield rf"(?<={{){name}(?=\.)"
        if path.endswith((".json", ".py")) and not path.startswith("src/"):
            yield rf"(?<=\"){name}(?=\")"
        in_english = path.endswith(".md") and not path.startswith(PAGES)
        of_tools = path.startswith(("tools/", "bench/")) and path.endswith(".py")
        if (path.startswith(SPEAK_OF_ENVIRONMENTS) or in_english or of_tools) and not path.endswith(".json"):
            yield rf"(?<![\w./-]){name}(?![\w-])(?!\.(?!yaml\b)\w)"

    def _replacement(self, found: re.Match[str]) -> str:
        what = str(found.lastgroup)
        renamed = {
            "images": f"{self.new.registry}/{self.new.owner}",
            "repository": self.new.repository,
            "teams": self.new.organisation,
            "registry": self.new.registry,
        }.get(what) or (self._environments[found[0]] if what == "environment" else self._spelt(found[0]))
        if renamed != found[0]:
            self.counts[f"{found[0]} → {renamed}"] += 1
        return renamed

    def _spelt(self, former: str) -> str:
        """Return the product's new name in the spelling of a former one."""
        if former.islower():
            return self.new.product
        return self.new.product.upper() if former.isupper() else self.new.product.capitalize()

    @property
    def _other_images(self) -> bool:
        return (self.former.registry, self.former.owner) != (self.new.registry, self.new.owner)

    def _tag(self, found: re.Match[str]) -> str:
        tag = f"sha-{ask('git', 'rev-parse', 'HEAD', cwd=REPOSITORY).stdout.strip()}"
        self.counts[f"tag of an image → {tag}"] += found[0] != tag
        return tag


def tracked() -> dict[Path, str]:
    """Return the text files that Git tracks, by their paths.

    Raises:
        RefusedError: unless they are all as they were committed: the change of names is seen, and undone, alone.
    """
    require_repository(REPOSITORY)
    if ask("git", "status", "--porcelain", "--untracked-files=no", cwd=REPOSITORY).stdout:
        raise RefusedError("there are uncommitted changes: commit or stash them first, then run this again")
    listed = ask("git", "ls-files", "-z", cwd=REPOSITORY).stdout.split("\0")
    paths = [REPOSITORY / name for name in filter(None, listed)]
    texts = {path: _text(path) for path in paths if not path.is_symlink()}
    return {path: text for path, text in texts.items() if text is not None}


def _text(path: Path) -> str | None:
    """Return a file's text; none if it has none, as an image or a PDF."""
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def refuse_ambiguous(former: Names, new: Names, texts: Mapping[Path, str]) -> None:
    """Make sure that the product's new name is the name of nothing else, or nobody could tell them apart again.

    Raises:
        RefusedError: if it is.
    """
    taken = re.compile(rf"(?i)(?<![a-z0-9/@]){new.product}(?![a-z0-9/])")
    for path, text in texts.items():
        name = os.fspath(path.relative_to(REPOSITORY))
        if new.product != former.product and name.startswith(("deploy/", "argocd/", "src/")) and taken.search(text):
            raise RefusedError(f"PRODUCT={new.product} stands in {name} already, for something else; give another name")


def adopt(former: Names, new: Names) -> Renaming:
    """Rename everything; return what was done.

    Raises:
        RefusedError: if it cannot be begun; nothing is written then.
    """
    texts = tracked()
    refuse_ambiguous(former, new, texts)
    renaming = Renaming(former, new)
    for path, text in texts.items():
        name = os.fspath(path.relative_to(REPOSITORY))
        if (renamed := renaming.of_text(text, name)) != text:
            path.write_bytes(renamed.encode())
        if (place := renaming.of_path(name)) != name:
            _move(path, REPOSITORY / place)
    return renaming


def _move(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    moved = ask("git", "mv", path, to, cwd=REPOSITORY)
    if moved.returncode:
        raise FailedError(f"Git did not move {path}: {moved.stderr.strip()}; `git reset --hard` undoes all of this")
    directory = path.parent
    # What Git does not track there is made anew when it is needed: byte code.
    while not ask("git", "ls-files", "--", directory, cwd=REPOSITORY).stdout:
        for left in directory.glob("__pycache__/*"):
            left.unlink()
        for left in (directory / "__pycache__", directory):
            if left.is_dir():
                left.rmdir()
        directory = directory.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--owner", metavar="NAME", help="of the images in the registry, in lower case: acme")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="on GitHub: acme/site")
    parser.add_argument("--registry", metavar="HOST", help="that keeps the images, in place of ghcr.io")
    parser.add_argument("--product", metavar="NAME", help="a word in lower case, in place of datapress")
    parser.add_argument(
        "--environment", metavar="FORMER=NEW", action="append", default=[], help="rename one; may be repeated"
    )


def main(options: argparse.Namespace) -> int:
    """Do what the command line says.

    Raises:
        RefusedError: if it cannot be begun.
        FailedError: if a step does not succeed.
    """
    former = names()
    new = wanted(options, former)
    if new == former:
        print("Nothing to do: these are the names already; `python -m tools adopt --help` lists what can be given.")
        return 0
    renaming = adopt(former, new)
    for change, count in renaming.counts.items():
        print(f"{change}: {count} times, in {renaming.files[change]} files")
    if new.product != former.product:
        # A name of another length breaks lines elsewhere, and of another letter sorts imports elsewhere.
        do(["ruff", "check", "--quiet", "--select", "I", "--fix", REPOSITORY])
        do(["ruff", "format", "--quiet", REPOSITORY])
    do(["make", "--no-print-directory", "pages"])
    do(["make", "--no-print-directory", "check"])
    print(
        "\nNext: look at `git diff HEAD`, run `make test`, commit. The PDF, the slides and the picture still show"
        " the former names: `make docs` builds the first two. docs/ci-cd.md says how to set GitHub."
    )
    return 0
