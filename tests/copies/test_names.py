"""A copy takes names of its own by `make adopt`, and what the tests hold still holds: in a fresh clone each."""

import re
from itertools import chain
from pathlib import Path

import pytest
import yaml

from tests.support.commands import commands, run
from tests.support.copies import commit, failing
from tests.support.git import git
from tests.support.product import BY_HAND, FOLLOWED, PREFIX
from tests.support.renamed import make
from tools.adopt import names
from tools.repository import APPLICATION, OVERLAYS, REPOSITORY

pytestmark = pytest.mark.timeout(900)

FORMER = names()
OVERLAY = OVERLAYS.relative_to(REPOSITORY) / FOLLOWED
ALL = ["tests/manifests", "tests/tools", "tests/workflows", "tests/documents"]


def images_of(clone: Path) -> list[str]:
    return sorted(re.findall(r"image: (\S+)", run(f"kubectl kustomize {OVERLAY}", clone)))


def left(clone: Path, *former: str) -> str:
    """Return where former names still stand in what Git tracks, but for what `make docs` builds."""
    words = " ".join(f"-e {word}" for word in former)
    return run(f"git add --all && git grep --cached -Iinw {words} || true", clone)


def test_a_copy_has_names_of_its_own(clone: Path) -> None:
    head = git(clone, "rev-parse", "HEAD")
    told = run(commands("a-copy-has-its-own-names"), clone)
    assert "nothing to correct" in told
    assert left(clone, f"{FORMER.registry}/{FORMER.owner}", FORMER.repository, f"@{FORMER.owner}") == ""
    commit(clone)
    again = run(commands("a-copy-has-its-own-names"), clone)
    assert "Nothing to do" in again
    assert git(clone, "status", "--porcelain") == ""

    run("make adopt OWNER=team REPOSITORY=Team/site REGISTRY=registry.example.org:5000", clone)
    # The tag is the commit's from which the images of this copy will be built first.
    assert head != git(clone, "rev-parse", "HEAD")
    tag = f"sha-{git(clone, 'rev-parse', 'HEAD')}"
    assert images_of(clone) == sorted(f"registry.example.org:5000/team/{name}:{tag}" for name in ("api", "front"))
    assert run("kubectl kustomize argocd", clone).count("https://github.com/Team/site.git") == 2
    commit(clone)
    assert failing(clone, *ALL) == []


def test_an_environment_is_renamed(clone: Path) -> None:
    run(f"make adopt ENVIRONMENTS='{BY_HAND}=essai {FOLLOWED}=uat-2'", clone)
    assert (
        left(clone, f"overlays/{BY_HAND}", f"overlays/{FOLLOWED}", f"{PREFIX}-{BY_HAND}", f"{PREFIX}-{FOLLOWED}") == ""
    )
    commit(clone)
    assert failing(clone, *ALL) == []
    # And back: what was renamed is found again.
    run(f"make adopt ENVIRONMENTS='essai={BY_HAND} uat-2={FOLLOWED}'", clone)
    commit(clone)
    assert git(clone, "diff", "--stat", "HEAD~2") == ""


def test_the_product_is_renamed(clone: Path) -> None:
    run("make adopt PRODUCT=globex", clone)
    # What is kept is the owner's: the images, the repository and its teams.
    kept = re.compile(rf"{FORMER.registry}/{FORMER.owner}|{FORMER.repository}|@{FORMER.owner}/")
    assert [line for line in left(clone, PREFIX).splitlines() if PREFIX in kept.sub("", line).lower()] == []
    commit(clone)
    run("make lint", clone)
    assert failing(clone, "tests/api", *ALL) == []


def made_on_a_cluster(repository: Path) -> set[str]:
    """Return what an API server would tell apart of what a repository's commands apply there."""
    overlays = repository / OVERLAYS.relative_to(REPOSITORY)
    applied = [
        *overlays.iterdir(),
        overlays.parent / "platform",
        repository / APPLICATION.parent.relative_to(REPOSITORY),
    ]
    rendered = [yaml.safe_load_all(run(f"kubectl kustomize {directory}", repository)) for directory in applied]
    objects = list(chain(*rendered))
    names = {f"{one['kind']} {one['metadata'].get('namespace')} {one['metadata']['name']}" for one in objects}
    ports = [port for one in objects if one["kind"] == "Service" for port in one["spec"]["ports"]]
    return names | {f"node port {port['nodePort']}" for port in ports if "nodePort" in port}


def test_on_one_cluster_two_copies_do_not_meet(tmp_path: Path) -> None:
    make(tmp_path)
    ours, theirs = made_on_a_cluster(REPOSITORY), made_on_a_cluster(tmp_path)
    assert len(ours) == len(theirs)
    assert ours & theirs == set()


def test_nothing_is_written_over_what_is_not_committed(clone: Path) -> None:
    readme = clone / "README.md"
    readme.write_text(readme.read_text() + "More.\n")
    with pytest.raises(AssertionError, match="commit or stash them first"):
        run("make adopt OWNER=team REPOSITORY=team/site", clone)
    assert git(clone, "diff", "--stat").startswith("README.md")
