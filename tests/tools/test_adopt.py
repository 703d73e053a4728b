"""`make adopt` and `make new-environment`: what they refuse, and what they rename; tests/copies runs them."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from tests.support.product import BY_HAND, FOLLOWED, node_port
from tools.__main__ import main
from tools.adopt import Names, Renaming, refuse_ambiguous
from tools.command import RefusedError
from tools.repository import REPOSITORY

FORMER = Names("ghcr.io", "us", "us/site", "shop", ("alpha", "beta"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--owner=Acme"], "OWNER=Acme cannot be such a name; give one in lower case like acme"),
        (["--repository=acme"], "REPOSITORY=acme cannot be such a name; give one like acme/site"),
        (["--registry=https://registry.example.org"], "REGISTRY=https://registry.example.org cannot be"),
        (["--product=my-shop"], "PRODUCT=my-shop cannot be such a name"),
        (["--environment=nowhere=test"], f"there is no environment 'nowhere'; choose one of {BY_HAND}, {FOLLOWED}"),
        (
            [f"--environment={BY_HAND}"],
            f"an environment cannot be called ''; give a name in lower case, as in {BY_HAND}=",
        ),
        ([f"--environment={BY_HAND}=Test"], "an environment cannot be called 'Test'"),
        ([f"--environment={BY_HAND}={FOLLOWED}"], f"another environment is called '{FOLLOWED}'"),
        ([f"--environment={BY_HAND}=a", f"--environment={FOLLOWED}=a"], "another environment is called 'a'"),
    ],
)
def test_a_name_that_cannot_be_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        main(["adopt", *arguments])
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Preprod", "--from", FOLLOWED], "an environment cannot be called 'Preprod'"),
        ([FOLLOWED, "--from", BY_HAND], f"the name '{FOLLOWED}' is taken"),
        (["elsewhere", "--from", BY_HAND], "the name 'elsewhere' is taken"),
        (["preprod-2", "--from", "nowhere"], "there is no environment 'nowhere'"),
        (["preprod-2", "--from", FOLLOWED, "--node-port", "8080"], "--node-port 8080 is out of range"),
        (
            ["preprod-2", "--from", FOLLOWED, "--node-port", f"{node_port(BY_HAND)}"],
            f"--node-port {node_port(BY_HAND)} is",
        ),
    ],
)
def test_an_environment_that_cannot_be_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        main(["new-environment", *arguments])
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "text", "renamed"),
    [
        ("deploy/a.yaml", "image: ghcr.io/us/api", "image: ghcr.io/team/api"),
        ("docs/a.md", "https://github.com/us/site.git", "https://github.com/team/page.git"),
        (".github/CODEOWNERS", "@us/developers", "@team/developers"),
        ("documents/package-lock.json", '"@us/core"', '"@us/core"'),
        ("src/a.py", "from shop_api import SHOP_API_PORT  # Shop", "from acme_api import ACME_API_PORT  # Acme"),
        ("src/a.py", "workshop, shopping", "workshop, shopping"),
        ("tests/a.py", '"\\nshop-2"', '"\\nacme-2"'),
        ("tests/a.py", 'OVERLAYS / "alpha"; deploy/overlays/alpha/x', 'OVERLAYS / "test"; deploy/overlays/test/x'),
        ("tools/setup.sh", "x 2>/alpha/null; requirements/alpha.txt", "x 2>/alpha/null; requirements/alpha.txt"),
        ("src/a.py", 'version = "alpha"', 'version = "alpha"'),
        ("docs/a.md", "de la beta, `beta`, <!-- v:beta.api -->", "de la beta, `uat`, <!-- v:uat.api -->"),
        ("README.md", "the page of beta (shop-beta)", "the page of uat (acme-uat)"),
        ("docs/a.md", "sed 's,^beta:,&,' a; '^chore(beta): b'", "sed 's,^uat:,&,' a; '^chore(uat): b'"),
        ("deploy/flows.yaml", "alpha/front: [alpha, elsewhere]", "test/front: [test, elsewhere]"),
        ("Makefile", "ENV ?= alpha\nbench-beta:", "ENV ?= test\nbench-beta:"),
        (
            "deploy/overlays/alpha/config.json",
            '{"environment": "alpha", "a": "in alpha"}',
            '{"environment": "test", "a": "in alpha"}',
        ),
    ],
)
def test_a_name_is_replaced_where_it_is_meant(path: str, text: str, renamed: str) -> None:
    new = Names("ghcr.io", "team", "team/page", "acme", ("test", "uat"))
    assert Renaming(FORMER, new).of_text(text, path) == renamed


def test_names_may_be_exchanged_without_a_mix() -> None:
    new = replace(FORMER, owner="shop", product="us")
    text = "ghcr.io/us/api shop-beta"
    assert Renaming(FORMER, new).of_text(text, "deploy/a.yaml") == "ghcr.io/shop/api us-beta"


@pytest.mark.parametrize(("product", "is_taken"), [("front", True), ("us", False), ("acme", False)])
def test_a_product_is_not_called_as_something_else(product: str, is_taken: bool) -> None:
    texts = {REPOSITORY / "deploy" / "a.yaml": "image: ghcr.io/us/api # shop-front"}
    with pytest.raises(RefusedError, match="PRODUCT=front stands in") if is_taken else nullcontext():
        refuse_ambiguous(FORMER, replace(FORMER, product=product), texts)
