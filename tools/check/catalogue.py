"""The rules of `make check`: each stands beside its function, with why it is there and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Scope(Enum):
    """What a rule is given, and with that when it speaks."""

    STEP = "what it needs: it is asked by name, because others rely on it"
    FILES = "the tree"
    JUDGED = "a rendering, and what the API server says of each of its objects"
    RENDERING = "a rendering"
    RENDERINGS = "the tree and all of its renderings"
    LAST = "the same, where nothing is wrong yet: one wrong name would show here once more for all that follows from it"


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        name: by which people call it
        scope: what it is given
        why: what would come of the mistake
        remedy: what to do
        find: gives the problems
        own: whether it holds a convention of this repository, which another may do without
        closed: whether it supposes that an overlay makes all that it uses: in another repository, that is only a note
    """

    name: str
    scope: Scope
    why: str
    remedy: str
    find: Callable[..., Any]
    own: bool
    closed: bool

    @property
    def finds(self) -> str:
        """What it finds, in one line."""
        return str(self.find.__doc__).splitlines()[0].rstrip(".")


RULES: dict[str, Rule] = {}


def rule(
    name: str, scope: Scope = Scope.RENDERING, *, why: str, remedy: str, own: bool = False, closed: bool = False
) -> Callable[[Function], Function]:
    """Return a decorator by which a function becomes a rule; the first line of its text says what it finds."""

    def register(function: Function) -> Function:
        RULES[name] = Rule(name, scope, why, remedy, function, own, closed)
        return function

    return register


def of(scope: Scope, *, own: bool = True) -> Iterator[Rule]:
    """Give the rules of a scope; without `own`, those that hold in any repository."""
    return (one for one in RULES.values() if one.scope is scope and (own or not one.own))
