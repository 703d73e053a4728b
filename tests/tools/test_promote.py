"""`make promote`, with real Git repositories and a Docker that stands in for the registry."""

import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.git import git
from tests.support.product import FOLLOWED, rendered
from tests.support.programs import Fakes
from tools import promote
from tools.__main__ import main
from tools.command import run_program
from tools.images import Image, images_of
from tools.promote import pins_of
from tools.render import add_components, render
from tools.repository import REPOSITORY, followed

FILE = pins_of(FOLLOWED)
OVERLAY = FILE.parent.parent
NAMES = {image.context.name: image.name for image in images_of(rendered(FOLLOWED))}
HOST = NAMES["api"].partition("/")[0]
COMMITS = 6
PIN = r"newTag: sha-[0-9a-f]{40}(, digest: sha256:[0-9a-f]{64})?"
REJECT = "#!/bin/sh\necho 'main is protected' >&2\nexit 1\n"


def digest_of(commit: str) -> str:
    return f"sha256:{commit[:32] * 2}"


def write_pins(repository: Path, pin: str) -> None:
    path = repository / FILE
    path.write_text(re.sub(PIN, pin, path.read_text()))


@dataclass(frozen=True)
class Origin:
    """A remote and clones of it.

    Attributes:
        bare: the remote
        commits: its history's commits that images are built from; the overlay runs the first
        clone: somebody's checkout
    """

    bare: Path
    commits: list[str]
    clone: Path

    def text(self, commit: str = "main") -> bytes:
        """Return the image tags, as the remote has them."""
        return subprocess.check_output(["git", "show", f"{commit}:{FILE}"], cwd=self.bare)

    def head(self) -> str:
        return git(self.bare, "rev-parse", "main")

    def runs(self, image: str) -> str:
        """Return what the remote's overlay says of an image."""
        (found,) = re.findall(rf"/{image}, newTag: ([^}}]*)", self.text().decode())
        return str(found)

    def another_clone(self) -> Path:
        path = tempfile.mkdtemp(dir=self.bare.parent)
        git(self.bare, "clone", "--quiet", self.bare, path)
        return Path(path)

    def push(self, change: Callable[[Path], None], message: str) -> str:
        """Change the remote from another clone, and return the commit."""
        clone = self.another_clone()
        change(clone)
        git(clone, "commit", "--quiet", "--all", "--allow-empty", f"--message={message}")
        git(clone, "push", "--quiet", "origin", "HEAD:main")
        return git(clone, "rev-parse", "HEAD")

    def reject_pushes(self) -> None:
        hook = self.bare / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(REJECT)
        hook.chmod(0o755)


@pytest.fixture(scope="module", autouse=True)
def _git_of_nobody() -> Iterator[None]:
    """A Git without anybody's settings."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        environment.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for role in ("AUTHOR", "COMMITTER"):
            environment.setenv(f"GIT_{role}_NAME", "Test")
            environment.setenv(f"GIT_{role}_EMAIL", "test@example.org")
        yield


@pytest.fixture(autouse=True)
def _registry_of_everything(monkeypatch: pytest.MonkeyPatch, fakes: Fakes) -> None:
    """A Docker that finds every image."""
    monkeypatch.delenv("REGISTRY", raising=False)
    fakes.add("docker")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A bare repository to copy, and its commits that images are built from."""
    first = tmp_path_factory.mktemp("history") / "first"
    for name in ("argocd", "deploy", "tools"):
        shutil.copytree(REPOSITORY / name, first / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(first, "init", "--quiet", "--initial-branch=main")
    git(first, "add", ".")
    commits = []
    for number in range(COMMITS):
        git(first, "commit", "--quiet", "--allow-empty", f"--message=source {number}")
        commits.append(git(first, "rev-parse", "HEAD"))
    write_pins(first, f"newTag: sha-{commits[0]}")
    git(first, "commit", "--quiet", "--all", "--message=deploy the first")
    bare = first.with_name("origin.git")
    git(first, "clone", "--quiet", "--bare", first, bare)
    return bare, commits


@pytest.fixture
def origin(tmp_path: Path, history: tuple[Path, list[str]]) -> Origin:
    template, commits = history
    bare, clone = tmp_path / "origin.git", tmp_path / "clone"
    shutil.copytree(template, bare)
    git(tmp_path, "clone", "--quiet", bare, clone)
    return Origin(bare, commits, clone)


def status(repository: Path, image: str, commit: str, digest: str = "") -> int:
    return run_program(
        "promote", lambda: promote.promote(image, digest or digest_of(commit), commit, repository=repository)
    )


def refusal(origin: Origin, capfd: pytest.CaptureFixture[str], expected: int, *request: str) -> str:
    """Return the one line that a request gets which must change nothing."""
    before = origin.head()
    assert status(origin.clone, *request) == expected
    assert origin.head() == before
    assert len(git(origin.clone, "worktree", "list").splitlines()) == 1
    said = capfd.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("promote: error: ")
    return line


# --- the commit


@pytest.mark.parametrize("image", ["api", "front"])
def test_one_line_changes_and_the_commit_says_why(
    origin: Origin, fakes: Fakes, capfd: pytest.CaptureFixture[str], image: str
) -> None:
    commit, before = origin.commits[3], origin.text().decode()
    assert status(origin.clone, image, commit) == 0
    old = f"{image}, newTag: sha-{origin.commits[0]}}}"
    new = f"{image}, newTag: sha-{commit}, digest: {digest_of(commit)}}}"
    assert before.count(old) == 1
    assert origin.text().decode() == before.replace(old, new)
    assert git(origin.bare, "diff", "--numstat", "main~", "main") == f"1\t1\t{FILE}"
    message = git(origin.bare, "log", "-1", "--format=%B", "main")
    assert message.splitlines()[0] == f"chore({FOLLOWED}): promote {image} to sha-{commit[:12]}"
    assert len(message.splitlines()[0]) <= 72
    trailers = subprocess.check_output(["git", "interpret-trailers", "--parse"], input=message, text=True)
    assert trailers.splitlines() == [f"Source-Commit: {commit}", f"Image-Digest: {digest_of(commit)}"]
    assert fakes.calls("docker") == [f"docker manifest inspect {NAMES[image]}@{digest_of(commit)}"]
    (line,) = capfd.readouterr().out.splitlines()
    assert line.startswith(f"Promoted {image} of {commit[:12]} by {origin.head()} on origin/main")


def test_comments_and_line_ends_stay(origin: Origin) -> None:
    def edit(clone: Path) -> None:
        text = re.sub(r"(.*/api, .*)", r"\1  # é: why", (clone / FILE).read_text())
        text += f"# - {{name: {NAMES['api']}, newTag: v0}}"
        (clone / FILE).write_bytes(text.replace("\n", "\r\n").encode())

    origin.push(edit, "comment")
    before, commit = origin.text().decode(), origin.commits[1]
    assert status(origin.clone, "api", commit) == 0
    line = "api, newTag: {}}}  # é: why\r\n"
    old, new = line.format(f"sha-{origin.commits[0]}"), line.format(f"sha-{commit}, digest: {digest_of(commit)}")
    assert before.count(old) == 1
    assert origin.text().decode() == before.replace(old, new)


def test_what_kustomize_edit_has_written_is_promoted(origin: Origin) -> None:
    """It writes one field a line, the digest first."""
    former, commit = origin.commits[:2]
    program = str(REPOSITORY / ".build" / "bin" / "kustomize")
    command = [program, "edit", "set", "image", f"{NAMES['api']}:sha-{former}@{digest_of(former)}"]

    def edit(clone: Path) -> None:
        subprocess.run(command, cwd=(clone / FILE).parent, check=True)

    origin.push(edit, "edit")
    before = origin.text().decode()
    assert status(origin.clone, "api", commit) == 0
    # The front's entry names that commit too, and stays.
    digest, tag = f"digest: {digest_of(former)}", f"newTag: sha-{former}"
    start = before.index(digest)
    promoted = before[start:].replace(digest, f"digest: {digest_of(commit)}").replace(tag, f"newTag: sha-{commit}", 1)
    assert origin.text().decode() == before[:start] + promoted


def test_a_tag_over_several_lines_gets_its_digest(origin: Origin) -> None:
    def spread(clone: Path) -> None:
        text = re.sub(r"- \{name: (\S*/api), (newTag: \S*)\}", r"- name: \1\n    \2", (clone / FILE).read_text())
        (clone / FILE).write_text(text)

    origin.push(spread, "spread")
    commit = origin.commits[1]
    assert status(origin.clone, "api", commit) == 0
    assert f"    newTag: sha-{commit}\n    digest: {digest_of(commit)}\n" in origin.text().decode()


def test_without_a_source_it_is_the_commit_checked_out(origin: Origin) -> None:
    git(origin.clone, "checkout", "--quiet", origin.commits[2])
    command = [sys.executable, "-m", "tools", "promote", "api", digest_of(origin.commits[2])]
    done = subprocess.run(command, cwd=origin.clone, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert origin.runs("api") == f"sha-{origin.commits[2]}, digest: {digest_of(origin.commits[2])}"


def test_a_registry_of_ones_own_is_asked(origin: Origin, fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY", "localhost:5000")
    assert status(origin.clone, "api", origin.commits[1]) == 0
    reference = f"{NAMES['api']}@{digest_of(origin.commits[1])}".replace(HOST, "localhost:5000")
    assert fakes.calls("docker") == [f"docker manifest inspect --insecure {reference}"]
    assert b"localhost" not in origin.text()


@pytest.mark.parametrize("works", [True, False])
def test_the_checkout_is_left_as_it_is(origin: Origin, works: bool) -> None:
    """A branch of its own, behind main, with changes staged, unstaged and untracked, in the very file."""
    git(origin.clone, "switch", "--quiet", "--create=work", origin.commits[1])
    write_pins(origin.clone, "newTag: mine")
    git(origin.clone, "add", ".")
    (origin.clone / FILE).write_text("changed again")
    (origin.clone / "new.txt").write_text("untracked")
    origin.push(lambda _clone: None, "not fetched yet")
    if not works:
        origin.reject_pushes()

    def state() -> list[str]:
        looks = (
            ["status", "--porcelain=2", "--branch"],
            ["diff"],
            ["diff", "--cached"],
            ["worktree", "list"],
            ["stash", "list"],
        )
        local = ["for-each-ref", "refs/heads", "refs/tags", "refs/worktree"]
        return [git(origin.clone, *look) for look in (*looks, local)]

    before = state()
    assert status(origin.clone, "api", origin.commits[2]) == (0 if works else 1)
    assert state() == before
    assert (origin.clone / FILE).read_text() == "changed again"
    assert not (origin.clone / ".git" / "FETCH_HEAD").exists()


def test_in_a_hook_of_a_linked_worktree_only_main_moves(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = origin.clone.with_name("linked")
    git(origin.clone, "worktree", "add", "--quiet", "-b", "mine", linked)
    (linked / FILE).write_text("edited\n")
    before = git(linked, "rev-parse", "mine", "main"), git(linked, "status", "--porcelain")
    monkeypatch.setenv("GIT_DIR", git(linked, "rev-parse", "--absolute-git-dir"))
    assert status(origin.clone, "api", origin.commits[1]) == 0
    assert (git(linked, "rev-parse", "mine", "main"), git(linked, "status", "--porcelain")) == before
    assert git(origin.clone, "config", "core.bare") == "false"


def test_a_sparse_checkout_promotes_too(origin: Origin) -> None:
    git(origin.clone, "sparse-checkout", "set", "tools")
    assert not (origin.clone / FILE).exists()
    assert status(origin.clone, "api", origin.commits[1]) == 0
    assert origin.commits[1] in origin.runs("api")
    assert not (origin.clone / FILE).exists()


def test_a_commit_that_is_not_fetched_yet_can_be_promoted(origin: Origin) -> None:
    commit = origin.push(lambda _clone: None, "elsewhere")
    assert status(origin.clone, "api", commit) == 0
    assert origin.runs("api").startswith(f"sha-{commit}")


# --- order


def test_a_rerun_changes_nothing(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(origin.clone, "api", origin.commits[2]) == 0
    after = origin.head()
    capfd.readouterr()
    assert status(origin.clone, "api", origin.commits[2]) == 0
    assert origin.head() == after
    assert capfd.readouterr().out == f"Nothing to do: {FOLLOWED} already runs api of {origin.commits[2][:12]}\n"


def test_an_older_build_never_replaces_a_newer_one(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(origin.clone, "api", origin.commits[4]) == 0
    after = origin.head()
    capfd.readouterr()
    assert status(origin.clone, "api", origin.commits[3]) == 0
    assert origin.head() == after
    said = capfd.readouterr().out
    assert said.startswith(f"Nothing to do: {FOLLOWED} already runs a newer build, api of {origin.commits[4][:12]}")
    assert "git revert" in said
    assert len(said.splitlines()) == 1


def test_the_running_commit_gets_its_digest_but_never_another(
    origin: Origin, capfd: pytest.CaptureFixture[str]
) -> None:
    running = origin.commits[0]
    assert status(origin.clone, "api", running) == 0
    assert origin.runs("api") == f"sha-{running}, digest: {digest_of(running)}"
    capfd.readouterr()
    said = refusal(origin, capfd, 2, "api", running, f"sha256:{'0' * 64}")
    assert f"another build of {running[:12]}, {digest_of(running)}" in said


def test_neither_newer_nor_older_is_refused(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    """Two branches that main has both merged."""
    clone = origin.another_clone()
    sides = []
    for side in ("left", "right"):
        git(clone, "switch", "--quiet", f"--create={side}", "main")
        git(clone, "commit", "--quiet", "--allow-empty", f"--message={side}")
        sides.append(git(clone, "rev-parse", "HEAD"))
    git(clone, "switch", "--quiet", "main")
    for side in ("left", "right"):
        git(clone, "merge", "--quiet", "--no-ff", side)
    git(clone, "push", "--quiet", "origin", "main")
    assert status(origin.clone, "api", sides[0]) == 0
    capfd.readouterr()
    assert "promote an image of a commit that contains both" in refusal(origin, capfd, 2, "api", sides[1])
    assert status(origin.clone, "api", git(clone, "rev-parse", "main")) == 0


def test_an_unknown_running_commit_is_refused(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    origin.push(lambda clone: write_pins(clone, f"newTag: sha-{'0' * 40}"), "from nowhere")
    assert "runs api of 000000000000, a commit that is not in this" in refusal(
        origin, capfd, 2, "api", origin.commits[1]
    )


def test_a_revert_goes_back_and_the_next_promotion_goes_on(origin: Origin) -> None:
    assert status(origin.clone, "api", origin.commits[1]) == 0
    good = origin.text()
    assert status(origin.clone, "api", origin.commits[2]) == 0
    operator = origin.another_clone()
    git(operator, "revert", "--no-edit", "HEAD")
    git(operator, "push", "--quiet", "origin", "main")
    assert origin.text() == good
    assert status(origin.clone, "api", origin.commits[3]) == 0
    assert origin.runs("api") == f"sha-{origin.commits[3]}, digest: {digest_of(origin.commits[3])}"


# --- several at once


def test_ten_at_once_lose_nothing_and_end_at_the_newest(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    """Half of them share a clone, as jobs on one machine may; the others share only the remote."""
    requests = [(image, commit) for image in ("api", "front") for commit in origin.commits[1:]]
    random.shuffle(requests)
    clones = [origin.clone if number % 2 else origin.another_clone() for number in range(len(requests))]
    with ThreadPoolExecutor(len(requests)) as pool:
        done = list(pool.map(lambda clone, request: status(clone, *request), clones, requests))
    said = capfd.readouterr()
    assert (done, said.err) == ([0] * len(requests), "")
    newest = origin.commits[-1]
    assert {origin.runs(image) for image in ("api", "front")} == {f"sha-{newest}, digest: {digest_of(newest)}"}
    promotions = git(
        origin.bare, "log", "--reverse", "--format=%H", f"--grep=^chore({FOLLOWED}): promote", "main"
    ).split()
    assert sorted(promotions) == sorted(re.findall(r"^Promoted .* by (\w+) ", said.out, re.MULTILINE))
    for image in ("api", "front"):
        order = [
            origin.commits.index(match[1])
            for commit in promotions
            if (match := re.search(rf"\+.*/{image}, newTag: sha-(\w+)", git(origin.bare, "show", commit)))
        ]
        assert order == sorted(set(order))
    for commit in promotions:
        assert git(origin.bare, "diff", "--numstat", f"{commit}~", commit) == f"1\t1\t{FILE}"
    assert len(git(origin.clone, "worktree", "list").splitlines()) == 1


def test_those_who_share_a_clone_take_turns(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def check_registry(_image: Image, _digest: str) -> None:
        events.append("begins")
        time.sleep(0.1)
        events.append("ends")

    monkeypatch.setattr(promote, "check_registry", check_registry)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda image: status(origin.clone, image, origin.commits[1]), ["api", "front"]))
    assert (done, events) == ([0, 0], ["begins", "ends"] * 2)


@pytest.fixture
def overtake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A function that has others push between a promoter's fetch and its push; it returns the images asked for."""

    def arrange(*others: Callable[[], object]) -> list[str]:
        asked: list[str] = []
        waiting = list(others)

        def check_registry(image: Image, _digest: str) -> None:
            asked.append(image.name)
            if waiting:
                waiting.pop(0)()

        monkeypatch.setattr(promote, "check_registry", check_registry)
        monkeypatch.setattr(promote, "PAUSE_SECONDS", (0, 0))
        return asked

    return arrange


def test_who_comes_second_starts_again(origin: Origin, overtake: Callable[..., list[str]]) -> None:
    elsewhere = origin.another_clone()
    asked = overtake(lambda: status(elsewhere, "front", origin.commits[1]))
    assert status(origin.clone, "api", origin.commits[2]) == 0
    assert asked == [NAMES[name] for name in ("api", "front", "api")]
    assert origin.runs("front").startswith(f"sha-{origin.commits[1]}")
    assert origin.runs("api").startswith(f"sha-{origin.commits[2]}")


def test_who_comes_second_is_judged_again(
    origin: Origin, overtake: Callable[..., list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = origin.another_clone()
    overtake(lambda: status(elsewhere, "api", origin.commits[3]))
    assert status(origin.clone, "api", origin.commits[2]) == 0
    assert origin.runs("api").startswith(f"sha-{origin.commits[3]}")
    assert "already runs a newer build" in capfd.readouterr().out


def test_a_remote_that_never_rests_is_given_up(
    origin: Origin,
    overtake: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(promote, "TRIES", 2)
    overtake(*[lambda: origin.push(lambda _clone: None, "in between")] * 2)
    assert status(origin.clone, "api", origin.commits[2]) == 1
    assert "origin/main moved 2 times" in capfd.readouterr().err
    assert origin.runs("api") == f"sha-{origin.commits[0]}"


# --- what is refused, and what fails; nothing is changed then


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no such manifest: {}", f"{HOST} has no {{}}: push it first"),
        ("manifest unknown", f"{HOST} has no {{}}: push it first"),
        ("name unknown", f"{HOST} has no {{}}: push it first"),
        ("denied", f"{HOST} does not let you read {{}} (denied): 'docker login {HOST}' first"),
        ('Get "https://x": unauthorized', f"'docker login {HOST}' first"),
        ("Get x: no basic auth credentials", f"'docker login {HOST}' first"),
        ("dial tcp: connection refused", f"{HOST} does not say whether it has {{}}: dial tcp: connection refused"),
    ],
)
def test_an_image_that_the_registry_does_not_give_is_no_commit(
    origin: Origin, fakes: Fakes, capfd: pytest.CaptureFixture[str], said: str, told: str
) -> None:
    reference = f"{NAMES['api']}@{digest_of(origin.commits[1])}"
    fakes.add("docker", {"inspect": (1, said.format(reference))})
    assert told.format(reference) in refusal(origin, capfd, 2, "api", origin.commits[1])


def test_no_docker_is_told(origin: Origin, fakes: Fakes, capfd: pytest.CaptureFixture[str]) -> None:
    (fakes.directory / "docker").unlink()
    assert "the command 'docker' is missing" in refusal(origin, capfd, 2, "api", origin.commits[1])


@pytest.mark.parametrize("image", ["web", "", "datapress/api", ".*"])
def test_a_wrong_image_lists_the_right_ones(origin: Origin, capfd: pytest.CaptureFixture[str], image: str) -> None:
    said = refusal(origin, capfd, 2, image, origin.commits[1])
    assert f"IMAGE={image} has 0 entries" in said
    assert said.endswith("there are entries for: api, front")


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        (r"( *- \{name: \S*/api,.*\n)", r"\1\1", 2),
        (r"(/api), newTag: [^}]*", r"\1, newTag: v1.0", 0),
        (r"images:", r"images: [", 0),
        (r"[\s\S]+", "", 0),
    ],
)
def test_a_file_that_cannot_be_edited_safely_is_refused(
    origin: Origin, capfd: pytest.CaptureFixture[str], old: str, new: str, count: int
) -> None:
    def edit(clone: Path) -> None:
        (clone / FILE).write_text(re.sub(old, new, (clone / FILE).read_text(), count=1))

    origin.push(edit, "edit")
    assert f"IMAGE=api has {count} entries" in refusal(origin, capfd, 2, "api", origin.commits[1])


def test_a_missing_overlay_is_told(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    origin.push(lambda clone: (clone / FILE).unlink(), "remove")
    assert refusal(origin, capfd, 2, "api", origin.commits[1]).endswith("there are entries for: none")


@pytest.mark.parametrize("digest", ["sha256:ab", "ab" * 32, f"sha256:{'AB' * 32}", f"sha256:{'ab' * 32}\n", "latest"])
def test_a_wrong_digest_is_refused(origin: Origin, capfd: pytest.CaptureFixture[str], digest: str) -> None:
    before = origin.head()
    assert status(origin.clone, "api", origin.commits[1], digest) == 2
    assert origin.head() == before
    assert "is not a digest: give what the push printed" in capfd.readouterr().err


def test_a_source_that_is_no_commit_is_refused(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    digest = digest_of(origin.commits[1])
    assert "SOURCE=nowhere is not a commit" in refusal(origin, capfd, 2, "api", "nowhere", digest)


def test_a_source_that_is_not_merged_is_refused(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    git(origin.clone, "commit", "--quiet", "--allow-empty", "--message=not merged")
    commit = git(origin.clone, "rev-parse", "HEAD")
    assert f"SOURCE={commit} ({commit[:12]}) is not on origin/main: merge it" in refusal(
        origin, capfd, 2, "api", commit
    )


def test_a_wrong_command_line_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["api"], ["api", "sha256:ab", "HEAD", "more"], ["--fast", "api", "sha256:ab"]):
        assert run_program("promote", lambda given=arguments: main(["promote", *given])) == 2  # type: ignore[misc]
        (line,) = capfd.readouterr().err.splitlines()
        assert "(usage: python -m tools " in line


def test_no_remote_is_told(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    git(origin.clone, "remote", "remove", "origin")
    said = refusal(origin, capfd, 2, "api", origin.commits[1])
    assert "origin/main cannot be fetched (see 'git remote -v')" in said


def test_a_shallow_clone_is_refused(origin: Origin, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin.bare}", shallow)
    assert status(shallow, "api", "HEAD", digest_of(origin.commits[1])) == 2
    assert "git fetch --unshallow" in capfd.readouterr().err


def test_a_directory_without_git_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(tmp_path, "api", "HEAD", f"sha256:{'ab' * 32}") == 2
    assert f"Git does not work in {tmp_path}: fatal: not a git repository" in capfd.readouterr().err


def test_a_push_that_is_rejected_is_told(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    origin.reject_pushes()
    monkeypatch.setattr(promote, "PAUSE_SECONDS", (0, 0))
    said = refusal(origin, capfd, 1, "api", origin.commits[1])
    assert "origin refuses the push to main: " in said
    assert "main is protected" in said


def test_a_commit_that_git_refuses_is_told(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_NAME", "")
    assert "git commit: " in refusal(origin, capfd, 1, "api", origin.commits[1])


def test_an_overlay_that_does_not_render_is_no_commit(origin: Origin, capfd: pytest.CaptureFixture[str]) -> None:
    origin.push(lambda clone: (clone / OVERLAY / "config.json").unlink(), "break")
    assert "does not render, nothing was committed" in refusal(origin, capfd, 1, "api", origin.commits[1])


def test_an_image_that_renders_as_something_else_is_no_commit(
    origin: Origin, capfd: pytest.CaptureFixture[str]
) -> None:
    """A second entry of another form, which Kustomize takes instead."""

    def edit(clone: Path) -> None:
        text = (clone / FILE).read_text()
        (clone / FILE).write_text(
            re.sub(r"(/front, newTag.*\n)", rf"\1  - {{newTag: v1, name: {NAMES['api']}}}\n", text)
        )

    origin.push(edit, "twice")
    said = refusal(origin, capfd, 1, "api", origin.commits[1])
    assert f"renders {NAMES['api']}:v1 instead of" in said


def test_one_image_goes_back_while_the_other_stays(origin: Origin) -> None:
    """Git merges changes of two lines only if a third one stands between them."""
    assert status(origin.clone, "api", origin.commits[1]) == 0
    promotion = origin.head()
    assert status(origin.clone, "front", origin.commits[1]) == 0
    operator = origin.another_clone()
    git(operator, "revert", "--no-edit", promotion)
    git(operator, "push", "--quiet", "origin", "main")
    assert origin.runs("api") == f"sha-{origin.commits[0]}"
    assert origin.runs("front").startswith(f"sha-{origin.commits[1]}")


# --- where to


def follow_another(clone: Path) -> None:
    """Have Argo CD follow a copy of the overlay too."""
    shutil.copytree(clone / OVERLAY, clone / OVERLAY.with_name("another"))
    application = (clone / "argocd" / "application.yaml").read_text()
    (clone / "argocd" / "another.yaml").write_text(application.replace(str(OVERLAY), str(OVERLAY.with_name("another"))))
    git(clone, "add", ".")


@pytest.mark.parametrize("named", ["", "nowhere"])
def test_of_several_environments_one_must_be_named(
    origin: Origin, capfd: pytest.CaptureFixture[str], named: str
) -> None:
    origin.push(follow_another, "follow another")
    commit = origin.commits[1]
    done = run_program("promote", lambda: promote.promote("api", digest_of(commit), commit, named, origin.clone))
    assert done == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(f"by ENV=: {', '.join(sorted(['another', FOLLOWED]))}")


def test_the_environment_that_is_named_alone_is_promoted_to(origin: Origin) -> None:
    origin.push(follow_another, "follow another")
    before, commit = origin.text(), origin.commits[1]
    command = [sys.executable, "-m", "tools", "promote", "api", digest_of(commit), commit, "--environment", "another"]
    subprocess.run(command, cwd=origin.clone, check=True)
    assert origin.text() == before
    assert git(origin.bare, "diff", "--numstat", "main~", "main") == f"1\t1\t{pins_of('another')}"


# --- the file


def test_kustomize_knows_the_file(tmp_path: Path) -> None:
    """What others do to it: `kustomize edit set image`, and Argo CD, which adds its components after all others."""
    shutil.copytree(REPOSITORY / "deploy", tmp_path / "deploy")
    pin = f"sha-{'a' * 40}@sha256:{'b' * 64}"
    program = str(REPOSITORY / ".build" / "bin" / "kustomize")
    for name in NAMES.values():
        subprocess.run(
            [program, "edit", "set", "image", f"{name}={name}:{pin}"], cwd=(tmp_path / FILE).parent, check=True
        )
    add_components(tmp_path, followed()[FOLLOWED])
    pods = [one["spec"]["template"]["spec"] for one in render(tmp_path / OVERLAY) if "template" in one.get("spec", {})]
    images = [container["image"] for pod in pods for container in pod["containers"]]
    assert {image.removesuffix(f":{pin}") for image in images} == set(NAMES.values())
    assert len(images) > len(NAMES), "no component was added that runs an image"
