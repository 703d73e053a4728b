"""The front without its image: the same NGINX configuration, rendered as the image's entrypoint renders it."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.repository import REPOSITORY
from tools.texts import read_text

FRONT = REPOSITORY / "src" / "front"
SITE = FRONT / "site"
MAIN = FRONT / "nginx.conf"
TEMPLATE = FRONT / "templates" / "default.conf.template"


class FrontError(Exception):
    """NGINX is missing; the message says on one line what to do."""


def nginx() -> str:
    """Return the path of NGINX: the one that tools/setup.sh unpacked, else the system's.

    Raises:
        FrontError: if there is none.
    """
    places = [os.fspath(REPOSITORY / ".build" / "bin"), os.environ.get("PATH", os.defpath), "/usr/sbin"]
    found = shutil.which("nginx", path=os.pathsep.join(places))
    if not found:
        raise FrontError("'nginx' is missing: run 'tools/setup.sh run'")
    return found


def config_dir() -> str:
    """Return the directory in which the image looks for `config.json`, if no variable of its container says another."""
    (found,) = re.findall(r"\bCONFIG_DIR=(\S+)", read_text(FRONT / "Dockerfile"))
    return str(found)


def render(template: str, values: Mapping[str, str]) -> str:
    """Replace each ${NAME} of an NGINX template, as envsubst does; NGINX's own variables ($name) stay.

    Raises:
        KeyError: if the template has a name that `values` has not; envsubst would leave it to NGINX to choke on.
    """
    return re.sub(r"\$\{([A-Z_]+)\}", lambda match: values[match[1]], template)


def prepare(into: Path, *, api_server: str, port: int) -> list[str]:
    """Write the configuration of a front on 127.0.0.1.

    Args:
        into: An existing directory, NGINX's prefix: it gets the configuration, the pid and the temporary files. Its
            `config/config.json` NGINX reads at each request.
        api_server: Where the API is, as the arguments of NGINX's upstream `server`, such as `127.0.0.1:8080`.
        port: The TCP port to listen on.

    Returns:
        The command that, in that directory, runs NGINX in the foreground, logging to standard output and error; SIGQUIT
        stops it gently.

    Raises:
        FrontError: if there is no NGINX.
    """
    values = {
        "API_SERVER": api_server,
        "CONFIG_DIR": "config",
        "FRONT_LISTEN": f"127.0.0.1:{port}",
        "NGINX_LOCAL_RESOLVERS": "127.0.0.1",  # must be an address, but is never asked: `api_server` is one already
        "SITE_ROOT": "html",
    }
    # Every path that NGINX is told is relative: it would take a dollar sign in one for a variable's.
    (into / "html").unlink(missing_ok=True)
    (into / "html").symlink_to(SITE)
    (into / "conf.d").mkdir(exist_ok=True)
    (into / "conf.d" / "default.conf").write_text(render(TEMPLATE.read_text(), values))
    shutil.copyfile(MAIN, into / "nginx.conf")
    # Started by root, NGINX would hand its work to `nobody`, who may read neither a home directory nor a private /tmp.
    user = " user root;" if os.geteuid() == 0 else ""
    return [nginx(), "-p", ".", "-c", "nginx.conf", "-e", "stderr", "-g", f"daemon off;{user}"]
