"""The licence is named alike wherever somebody or something looks for it."""

import re
import tomllib

import pytest

from tools.repository import REPOSITORY

PLACES = {
    "LICENSE": r"^SPDX-License-Identifier: (\S+)$",
    **{
        str(path.relative_to(REPOSITORY)): r'\borg\.opencontainers\.image\.licenses="([^"]+)"'
        for path in (REPOSITORY / "src").glob("*/Dockerfile")
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_the_licence_is_that_of_the_project(place: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert re.findall(PLACES[place], (REPOSITORY / place).read_text(), re.MULTILINE) == [project["license"]]
