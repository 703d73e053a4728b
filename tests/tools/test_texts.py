"""Texts that somebody else wrote: what is read of them, and where a wrong one is wrong."""

import re
from pathlib import Path

import pytest

from tests.support.clones import change_banner
from tests.support.git import git
from tests.support.product import BY_HAND, path
from tools.check import check
from tools.diff import compare_with_commit
from tools.texts import UnreadableError, load_json, load_yaml, read_text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\n# caf\xe9".encode("cp1252"), ":2: the byte 0xe9 where UTF-8 is expected"),
        ("a: 1".encode("utf-16"), ":1: UTF-16 where UTF-8 is expected"),
        (b"a: 1\nb: ]", ":2: this is no YAML: "),
        (b"a: 1\n# a\x0bb", ":2: this is no YAML: .*control characters|special characters"),
        (b"a: 1\nb: 0x_", ":.: this is no YAML: "),
        (b"a: !!timestamp x", ":.: this is no YAML: "),
        (b"a: " + b"[" * 20000, ":.: this is no YAML: "),
    ],
    ids=["cp1252", "utf-16", "bracket", "vertical-tab", "number", "date", "depth"],
)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(content)
    with pytest.raises(UnreadableError) as refused:
        load_yaml(read_text(file), file)
    assert re.match(re.escape(str(file)) + said, str(refused.value))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("link", "."):
        with pytest.raises(UnreadableError, match="cannot be read"):
            read_text(tmp_path / name)


@pytest.mark.parametrize("text", ["{", "[" * 200000, ""], ids=["open", "depth", "nothing"])
def test_json_that_is_none_is_told(text: str) -> None:
    with pytest.raises(UnreadableError, match=r"^kubectl:1: this is no JSON: "):
        load_json(text, "kubectl")


@pytest.mark.parametrize("text", ["=", "2026-01-01", "2026-01-01T00:00:00Z"])
def test_what_is_text_to_kubernetes_is_text(text: str) -> None:
    assert load_yaml(f"value: {text}", "") == [{"value": text}]


def put(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def link(file: Path) -> None:
    file.with_name(f".#{file.name}").symlink_to("somebody@a-machine.4321")


def test_an_editors_lock_is_no_file(clone: Path) -> None:
    before = check(clone)
    for name in ("config.json", "kustomization.yaml"):
        link(clone / path(BY_HAND) / name)
    assert check(clone) == before
    assert not any(compare_with_commit(clone, "HEAD"))


def test_a_linked_file_is_the_file_it_leads_to(clone: Path) -> None:
    overlay = clone / path(BY_HAND)
    (overlay / "config.json").rename(overlay / "page.json")
    (overlay / "config.json").symlink_to("page.json")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message=link")
    assert not any(compare_with_commit(clone, "HEAD"))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_page_in_another_encoding_is_told_with_its_file(clone: Path, encoding: str) -> None:
    file = change_banner(clone / path(BY_HAND), "déjà vu") / "config.json"
    file.write_bytes(file.read_text().encode(encoding, "replace"))
    (found,) = [one for one in check(clone) if not one.note]
    assert (found.file, found.rule) == (str(path(BY_HAND) / "config.json"), "syntax")
    assert "UTF-8 is expected" in found.reason
