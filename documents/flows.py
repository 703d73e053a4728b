"""The network flows of deploy/flows.yaml as tables of Markdown: from whom to whom, ✓ where it passes."""

from documents import markdown
from tools.network.flows import ELSEWHERE, Flows, current, group


def tables() -> str:
    """Return a section for each environment, and one for what is elsewhere."""
    known = current()
    return "\n".join(
        f"\n## Vers {'le reste' if to == ELSEWHERE else to}\n\n{table(known, to).rstrip()}"
        for to in dict.fromkeys(map(group, known.ends))
    ) + "\n\n"  # fmt: skip


def table(flows: Flows, to: str) -> str:
    """Return the flows towards an environment, or towards what is elsewhere."""
    sources = [source for source in flows.reaches if to != ELSEWHERE or group(source) != ELSEWHERE]
    targets = [target for target in flows.targets if group(target) == to]
    rows = [[flows.titles[source], *("✓" if flows.allowed(source, t) else "–" for t in targets)] for source in sources]
    return markdown.table(["depuis", *(_heading(flows, target) for target in targets)], rows)


def _heading(flows: Flows, target: str) -> str:
    name, _, port = target.rpartition(":")
    return flows.titles[name] if port == "any" else f"{flows.titles[name]}, {flows.targets[target]}"
