"""How gunicorn serves the API: `gunicorn` in this directory is the whole command, or `gunicorn -c` this file elsewhere.

https://gunicorn.org/reference/settings/ describes the settings; here stands why they have these values.
"""

import gc
import logging
import os
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

wsgi_app = "datapress_api.app:create_app_from_environ()"

# The metrics have a port of their own, so that no Service shows them.
_address = f"[{_settings.bind_address}]" if ":" in _settings.bind_address else _settings.bind_address
bind = [f"{_address}:{port}" for port in (_settings.api_port, _settings.metrics_port)]

# One process: of several, a scrape would see the counters of whichever answers it. More capacity is more replicas. Said
# here, so that WEB_CONCURRENCY cannot change it.
workers = 1
# Chosen by measurement: docs/decisions/0002-gunicorn-worker.md
worker_class = "datapress_api.worker.Worker"
# They wait for slow clients and for bodies only; whole requests are answered without them.
threads = 4

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
