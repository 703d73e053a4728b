"""For those who edit overlays and operate: python -m tools COMMAND; `--help` after a COMMAND says what it takes.

A command ends with status 0 if all is well, 1 if it found something or failed, 2 if it was used wrongly, 70 if it has
a fault of its own.
"""

import sys
from importlib import import_module

try:
    from tools.command import Parser, run_program
except ModuleNotFoundError as error:
    print(f"tools: error: this Python has no '{error.name}': use the commands of make", file=sys.stderr)
    sys.exit(2)

# Name → module, and what it does. A module offers add_arguments(parser) and main(options) -> exit status.
COMMANDS = {
    "adopt": ("tools.adopt", "give this copy names of its own: owner, repository, registry, product, environments"),
    "check": ("tools.check", "report what is wrong in the overlays, with file and line"),
    "diff": ("tools.diff", "say what the files here would change, and what follows"),
    "compare": ("tools.compare", "show how the environments differ"),
    "new-environment": ("tools.new_environment", "add an environment like one that is there, to every list of them"),
    "promote": ("tools.promote", "have an environment run an image"),
    "seal": ("tools.seal", "encrypt a value for the Sealed Secrets controller of a cluster, into an overlay"),
    "run": ("tools.local.run", "serve the API and the page on this machine, without Docker or a cluster"),
    "deploy": ("tools.local.deploy", "build the images and bring an environment to the current context's cluster"),
    "undeploy": ("tools.local.undeploy", "take an environment off the current context's cluster"),
    "url": ("tools.local.url", "tell how the front of an environment is reached on the current context's cluster"),
    "cluster": ("tools.local.cluster", "make a local cluster with kind, and a registry beside it"),
}


def main(arguments: list[str]) -> int:
    """Do what the command line says, and return the exit status.

    Raises:
        RefusedError: if it is wrong.
    """
    parser = Parser(prog="python -m tools", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        # Only the one that is used is loaded: none waits for what another needs.
        if name in arguments[:1]:
            loaded = import_module(module)
            loaded.add_arguments(command)
            command.set_defaults(main=loaded.main)
    options = parser.parse_args(arguments)
    status: int = options.main(options)
    return status


if __name__ == "__main__":
    named = sys.argv[1] if sys.argv[1:2] and sys.argv[1] in COMMANDS else "tools"
    sys.exit(run_program(named, lambda: main(sys.argv[1:])))
