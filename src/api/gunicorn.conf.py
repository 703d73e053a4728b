"""How gunicorn serves the API: `gunicorn` in this directory is the whole command, or `gunicorn -c` this file elsewhere.

https://gunicorn.org/reference/settings/ describes the settings; here stands why they have these values.
"""

import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

# From wherever gunicorn was called, this is where it finds the package, and so does this file.
chdir = str(Path(__file__).resolve().parent)
sys.path.insert(0, chdir)

from datapress_api import logs  # noqa: E402
from datapress_api.settings import Settings, SettingsError, read_settings  # noqa: E402

logs.configure(Settings.log_level)
try:
    _settings = read_settings(os.environ)
except SettingsError as error:
    # An exception would get out of here as a traceback, and later as a restart of the worker for ever.
    logging.getLogger("datapress_api").critical("%s", error)
    sys.exit(2)
logs.configure(_settings.log_level)

# Threads for views that wait: few enough that replicas leave a database of 100 connections some to spare. The queue:
# what they answer within a second if each view takes a tenth of one; who comes then had better ask again (503).
wsgi_app = "datapress_api.app:create_server_from_environ(threads=8, queue=80)"

# The metrics have a port of their own, so that no Service shows them.
_address = f"[{_settings.bind_address}]" if ":" in _settings.bind_address else _settings.bind_address
bind = [f"{_address}:{port}" for port in (_settings.api_port, _settings.metrics_port)]

# One process: of several, a scrape would see the counters of whichever answers it. More capacity is more replicas. Said
# here, so that WEB_CONCURRENCY cannot change it.
workers = 1
# gunicorn's own event loop: docs/decisions/0034-worker-asgi.md
worker_class = "asgi"

# Longer than NGINX keeps an idle connection (5 s): did the API close first, a request could meet a closed connection.
keepalive = 75
# More than any answer takes, and with the preStop sleep (10 s) less than the pod's grace period (45 s).
graceful_timeout = 25

# The application is loaded before the fork: a broken one ends the process at once, a killed worker is replaced at once,
# and both processes share its memory.
preload_app = True

# The worker's heartbeat is a file: on a disk, a busy disk would look like a dead worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a mount, not a predictable file name
# It would be a socket in the home directory, which the container's user has not, on a file system that is read-only.
control_socket_disable = True

# Nobody is believed about where a request came from: the API asks for neither, and no header can then change its paths.
forwarded_allow_ips = ""

logger_class = logs.GunicornLogger
loglevel = _settings.log_level


def when_ready(_server: Any) -> None:
    """Keep the loaded application out of garbage collection.

    It never dies, and to look at it writes into its memory, which the processes then no longer share: 40 MiB, not 33.
    https://docs.python.org/3/library/gc.html#gc.freeze
    """
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """End a worker, on SIGTERM, once it has answered: gunicorn would wait for connections that are kept and idle.

    And let as many connections wait as gunicorn's `backlog` says: its event loop lets 100, and NGINX gets no more.
    """

    def finish() -> None:
        worker.handle_exit_signal()
        worker.asgi.when_quiet(worker.handle_quit_signal)

    def listen() -> None:
        for listener in worker.sockets:
            listener.listen(worker.cfg.backlog)

    worker.loop.add_signal_handler(signal.SIGTERM, finish)
    worker.loop.call_later(1, listen)  # once the loop has opened them


def worker_int(_worker: Any) -> None:
    """End a worker at once, on Ctrl-C: Python would wait for each view that waits in a thread."""
    os._exit(0)
