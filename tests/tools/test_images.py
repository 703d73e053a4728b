"""Which images there are, and what names their content."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.git import git
from tests.support.product import rendered
from tests.support.programs import Fakes
from tools.command import FailedError, RefusedError
from tools.images import Image, digest_of, images_of, revision
from tools.repository import REPOSITORY, environments


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("1\n")
    (tmp_path / "src" / "run.sh").write_text("2\n")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    return tmp_path


def test_unchanged_sources_are_named_by_their_commit(repository: Path) -> None:
    (repository / "README.md").write_text("not in an image")
    (repository / "src" / "app.pyc").write_text("ignored by Git")
    assert revision(repository) == git(repository, "rev-parse", "HEAD")


def test_each_content_of_changed_sources_has_a_name_of_its_own(repository: Path) -> None:
    source = repository / "src" / "app.py"

    def change(what: str) -> str:
        match what:
            case "edit":
                source.write_text("2\n")
            case "edit again":
                source.write_text("3\n")
            case "rename":
                source.rename(source.with_name("main.py"))
            case "mode":
                (repository / "src" / "run.sh").chmod(0o755)
            case "stage":
                git(repository, "add", ".")
            case "delete":
                (repository / "src" / "run.sh").unlink()
        return revision(repository)

    names = [change(what) for what in ("none", "edit", "edit again", "rename", "mode")]
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"{names[0]}-dirty-") for name in names[1:])
    assert change("stage") == names[-1], "the same content, staged or not"
    assert change("delete") not in names


def test_the_same_change_has_the_same_name(repository: Path) -> None:
    source = repository / "src" / "app.py"
    source.write_text("2\n")
    first = revision(repository)
    source.write_text("3\n")
    source.write_text("2\n")
    assert revision(repository) == first


def test_without_a_commit_it_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(RefusedError, match=r"tagged by the commit.*commit first"):
        revision(tmp_path)


@pytest.mark.parametrize("environment", environments())
def test_the_images_are_those_of_the_overlay_that_are_built_here(environment: str) -> None:
    images = images_of(rendered(environment))
    assert {image.context for image in images} == {file.parent for file in REPOSITORY.glob("src/*/Dockerfile")}
    assert all(image.name.endswith(f"/{image.context.name}") for image in images)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("host:5000/datapress/api", "host:5000/datapress/api"),
        ("host:5000/datapress/api:v1", "host:5000/datapress/api"),
        ("ghcr.io/datapress/api:v1@sha256:00", "ghcr.io/datapress/api"),
        ("ghcr.io/datapress/api@sha256:00", "ghcr.io/datapress/api"),
    ],
)
def test_tag_and_digest_are_no_part_of_a_name(reference: str, name: str) -> None:
    containers = [{"name": "api", "image": reference}, {"name": "proxy", "image": "example.org/another/one:v1"}]
    deployment: dict[str, Any] = {"kind": "Deployment", "spec": {"template": {"spec": {"containers": containers}}}}
    assert [image.name for image in images_of([deployment, {"kind": "Service"}])] == [name]


def test_a_registry_takes_the_place_of_the_one_in_the_manifests() -> None:
    image = Image("example.org/team/api", Path())
    assert image.at("localhost:5000") == "localhost:5000/team/api"
    assert image.at("") == "example.org/team/api"


def test_the_digest_is_that_of_the_registry_it_was_pushed_to(fakes: Fakes) -> None:
    fakes.add("docker", {"inspect": (0, "other/datapress/api@sha256:11\nhost:5000/datapress/api@sha256:22")})
    assert digest_of("host:5000/datapress/api:v1") == "sha256:22"
    with pytest.raises(FailedError, match="no digest of host:5000/datapress/front:v1"):
        digest_of("host:5000/datapress/front:v1")
