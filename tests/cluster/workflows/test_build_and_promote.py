"""The workflows that build, publish and promote, run on real commits, with a real registry and a bare repository."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from tests.cluster.workflows.github import GITHUB_REPOSITORY, WORKFLOWS, GitHub, Run
from tests.support.clones import make_clone, make_origin
from tests.support.cluster import Measure
from tests.support.commands import run as run_commands
from tests.support.git import git
from tests.support.product import FOLLOWED
from tools.command import do
from tools.images import build, digest_of
from tools.promote import pins_of, read_pin
from tools.render import render

IMAGES = ("api", "front")
COMMITS = 5
NOWHERE = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Project:
    """A bare repository, and commits in it that change both images.

    Attributes:
        origin: the repository
        commits: those that were merged, the oldest first
        directory: where clones of it go
    """

    origin: Path
    commits: list[str]
    directory: Path

    def clone_at(self, commit: str, name: str) -> Path:
        """Return a clone whose main is at a commit, as the checkout of a workflow is."""
        clone = make_clone(self.origin, self.directory / name)
        git(clone, "checkout", "--quiet", "-B", "main", commit)
        return clone

    def head(self) -> str:
        return git(self.origin, "rev-parse", "main")

    def running(self, revision: str = "main") -> dict[str, tuple[str, str]]:
        """Return the commit and the digest that the overlay has of each image."""
        images = yaml.safe_load(git(self.origin, "show", f"{revision}:{pins_of(FOLLOWED)}"))["images"]
        return {item["name"].rpartition("/")[2]: (item["newTag"], item.get("digest", "")) for item in images}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    origin = make_origin(tmp_path)
    clone = make_clone(origin, tmp_path / "developer")
    merged = []
    for number in range(COMMITS):
        for source, comment in (("src/api/datapress_api/__init__.py", "# {}"), ("src/front/site/app.css", "/* {} */")):
            with (clone / source).open("a") as file:
                file.write(comment.format(number) + "\n")
        git(clone, "commit", "--quiet", "--all", f"--message=change {number}")
        merged.append(git(clone, "rev-parse", "HEAD"))
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return Project(origin, merged, tmp_path)


def succeeded(run: Run) -> Run:
    assert run.status == 0, run.said
    return run


def labels(reference: str) -> dict[str, str]:
    subprocess.run(["docker", "pull", "--quiet", reference], check=True, capture_output=True)
    asked = ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", reference]
    found: dict[str, str] = yaml.safe_load(subprocess.check_output(asked, text=True))
    return found


def test_a_pull_request_builds_the_image_and_publishes_nothing(github: GitHub, project: Project) -> None:
    (*_, commit) = project.commits
    run = succeeded(github.run(project.clone_at(commit, "pull-request"), "build-api.yml", "pull_request"))
    assert "Success - Main docker/build-push-action" in run.said
    assert github.manifest(f"{github.image('api')}:sha-{commit}") is None
    assert not any("password" in asked or "subject-digest" in asked for asked in run.asked)
    assert project.head() == commit


def test_a_merge_publishes_attests_verifies_and_promotes_once(github: GitHub, project: Project) -> None:
    (*_, commit) = project.commits
    name = github.image("api")
    before = project.running()
    run = succeeded(github.run(project.clone_at(commit, "merge"), "build-api.yml", "push"))

    assert labels(f"{name}:sha-{commit}")["org.opencontainers.image.revision"] == commit
    tag, digest = project.running()["api"]
    assert tag == f"sha-{commit}"
    assert github.manifest(f"{name}@{digest}")
    assert project.running()["front"] == before["front"]
    (attested,) = [asked for asked in run.asked if "subject-digest" in asked]
    assert (attested["subject-name"], attested["subject-digest"]) == (name, digest)
    (verified,) = [line for line in run.gh if line.startswith("attestation verify")]
    assert f"oci://{name}@{digest}" in verified
    assert f"--repo {GITHUB_REPOSITORY}" in verified
    assert f"--signer-workflow {GITHUB_REPOSITORY}/.github/workflows/image.yml" in verified
    assert f"--source-digest {commit}" in verified

    # Run again, by hand or after a network that failed: the image that is there is taken, and nothing is left to do.
    promoted = project.head()
    again = succeeded(github.run(project.clone_at(commit, "again"), "build-api.yml", "push"))
    assert "Nothing to do: recette already runs" in again.said
    assert project.head() == promoted
    assert [asked["subject-digest"] for asked in again.asked if "subject-digest" in asked] == [digest]


def test_a_copy_without_history_publishes_and_promotes_its_own(github: GitHub, tmp_path: Path) -> None:
    """What the overlays of a copy name at first, nobody has published there."""
    origin = make_origin(tmp_path)
    copy = make_clone(origin, tmp_path / "copy")
    git(copy, "checkout", "--quiet", "--orphan", "copy")
    git(copy, "commit", "--quiet", "--message=Begin")
    run_commands("make adopt OWNER=team REPOSITORY=team/site", copy)
    git(copy, "commit", "--quiet", "--all", "--message=Take names of our own")
    git(copy, "push", "--quiet", "--force", "origin", "HEAD:main")
    commit = git(copy, "rev-parse", "HEAD")
    project = Project(origin, [commit], tmp_path)
    team = replace(github, repository="Team/site")
    for image in IMAGES:
        succeeded(team.run(project.clone_at(commit, image), f"build-{image}.yml", "push"))
        name = f"{github.registry}/team/{image}"
        assert labels(f"{name}:sha-{commit}")["org.opencontainers.image.source"] == "https://github.com/team/site"
        tag, digest = project.running()[image]
        assert tag == f"sha-{commit}"
        assert github.manifest(f"{name}@{digest}")


def test_a_merge_into_master_is_published_and_not_promoted(github: GitHub, project: Project) -> None:
    (*_, commit) = project.commits
    clone = project.clone_at(commit, "master")
    git(clone, "branch", "--quiet", "--move", "main", "master")
    succeeded(github.run(clone, "build-front.yml", "push"))
    assert github.manifest(f"{github.image('front')}:sha-{commit}")
    assert project.head() == commit


@pytest.mark.timeout(300)
def test_ten_promotions_at_once_lose_nothing_and_keep_the_order(
    github: GitHub, project: Project, measure: Measure
) -> None:
    runs = [(image, commit) for commit in project.commits for image in IMAGES]
    clones = {(image, commit): project.clone_at(commit, f"{image}-{commit[:12]}") for image, commit in runs}

    def start(image: str, commit: str) -> Run:
        return github.run(clones[image, commit], f"build-{image}.yml", "push")

    with ThreadPoolExecutor(len(runs)) as pool:
        ended = list(pool.map(lambda run: start(*run), runs))
    for run in ended:
        succeeded(run)

    (*_, newest) = project.commits
    assert {image: tag for image, (tag, _) in project.running().items()} == dict.fromkeys(IMAGES, f"sha-{newest}")
    promotions = git(project.origin, "rev-list", "--reverse", f"{newest}..main").splitlines()
    for promotion in promotions:
        changed = git(project.origin, "show", "--format=", "--numstat", promotion)
        assert changed.split() == ["1", "1", str(pins_of(FOLLOWED))]
    age = {f"sha-{commit}": number for number, commit in enumerate(project.commits)}
    for image in IMAGES:
        ages = [age.get(project.running(promotion)[image][0], -1) for promotion in promotions]
        assert ages == sorted(ages)
    for image, (tag, digest) in project.running().items():
        assert github.manifest(f"{github.image(image)}@{digest}"), tag
    assert render(project.clone_at("origin/main", "final") / pins_of(FOLLOWED).parent.parent)
    measure("promotions at once: runs, commits on main", f"{len(runs)}, {len(promotions)}")


def calling(digest: str) -> str:
    """Return a workflow that promotes what no build has published."""
    call = {"uses": "./.github/workflows/promote.yml", "with": {"image": "api", "digest": digest}}
    return yaml.safe_dump({"on": "push", "jobs": {"promote": call}})


@pytest.mark.parametrize(
    ("published", "attested", "said"),
    [
        pytest.param(False, True, "push it first", id="an image that is not there"),
        pytest.param(True, False, "Failure - Main Verify who built the image", id="no attestation"),
    ],
)
def test_what_cannot_be_verified_is_not_promoted(
    github: GitHub, project: Project, published: bool, attested: bool, said: str
) -> None:
    (*_, commit) = project.commits
    clone = project.clone_at(commit, "unverified")
    reference = f"{github.image('api')}:unverified"
    build(read_pin(clone, FOLLOWED, "api").image, reference, commit)
    do(["docker", "push", "--quiet", reference])
    (clone / WORKFLOWS / "caller.yml").write_text(calling(digest_of(reference) if published else NOWHERE))
    run = github.run(clone, "caller.yml", "push", ATTESTATION_VERIFIES="0" if attested else "1")
    assert run.status != 0
    assert said in run.said
    assert project.head() == commit
