"""What the environment says, read and checked once, at the start."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

ENVIRONMENT = re.compile("[a-z][a-z0-9-]{0,30}")
LOG_LEVELS = ("debug", "info", "warning", "error")
DUMMY_PREFIX = "demo-"
PRODUCTION_PREFIX = "prod"  # prod, production, production-eu
HIGHEST_PORT = 65535


class SettingsError(Exception):
    """The environment is wrong; the message says on one line which variables, what they hold and what they may hold."""


@dataclass(frozen=True)
class Settings:
    """The API's settings, all of them checked.

    Attributes:
        environment: Where this runs, a name that `ENVIRONMENT` matches.
        db_password: The database's password; kept out of `repr`, so that no log or traceback shows it.
        version: The release, as the image's build named it.
        revision: The Git commit that the image was built from.
        log_level: The least severe level that is logged, one of `LOG_LEVELS`.
        api_port: The TCP port of the API.
        metrics_port: The TCP port of the metrics; another than `api_port`, or they would be public.
        bind_address: The IP address that both ports listen on.
    """

    environment: str
    db_password: str = field(repr=False)
    version: str = "dev"
    revision: str = "unknown"
    log_level: str = "info"
    api_port: int = 8000
    metrics_port: int = 9100
    bind_address: str = "0.0.0.0"  # noqa: S104  # inside a container; the network policy says who may connect


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings that the environment variables hold; an empty variable counts as an absent one.

    Raises:
        SettingsError: if any is missing or wrong; it names all of them at once.
    """
    reader = _Reader(environ)
    environment = reader.environment("APP_ENV")
    settings = Settings(
        environment=environment,
        db_password=reader.password("DB_PASSWORD", environment),
        version=reader.text("APP_VERSION", Settings.version),
        revision=reader.text("APP_REVISION", Settings.revision),
        log_level=reader.choice("LOG_LEVEL", LOG_LEVELS, Settings.log_level),
        api_port=reader.port("API_PORT", Settings.api_port),
        metrics_port=reader.port("METRICS_PORT", Settings.metrics_port),
        bind_address=reader.address("BIND_ADDRESS", Settings.bind_address),
    )
    if settings.api_port == settings.metrics_port:
        reader.errors.append(f"API_PORT and METRICS_PORT are both {settings.api_port}: they must differ")
    if reader.errors:
        raise SettingsError("; ".join(reader.errors))
    return settings


class _Reader:
    """Reads one variable after the other and gathers what is wrong, so that one start names every mistake."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.errors: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self.environ.get(name) or default

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        value = self.text(name, default)
        if value not in allowed:
            self.errors.append(f"{name} {_holds(value)}: it must be one of {', '.join(allowed)}")
        return value

    def environment(self, name: str) -> str:
        """Any name: an image that knew its environments would have to be built anew for another."""
        value = self.text(name, "")
        if not ENVIRONMENT.fullmatch(value):
            self.errors.append(f"{name} {_holds(value)}: it must be a name such as dev, of a-z, 0-9 and '-'")
        return value

    def port(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if not re.fullmatch("[0-9]{1,5}", value) or not 0 < int(value) <= HIGHEST_PORT:
            self.errors.append(f"{name} {_holds(value)}: it must be a port from 1 to {HIGHEST_PORT}")
            return default
        return int(value)

    def address(self, name: str, default: str) -> str:
        value = self.text(name, default)
        try:
            ip_address(value)
        except ValueError:
            self.errors.append(f"{name} {_holds(value)}: it must be an IP address, such as {default}")
        return value

    def password(self, name: str, environment: str) -> str:
        """The value itself never gets into a message: messages end up in logs."""
        value = self.text(name, "")
        if not value:
            self.errors.append(f"{name} is not set: it must hold the database's password")
        if value.startswith(DUMMY_PREFIX) and environment.startswith(PRODUCTION_PREFIX):
            self.errors.append(f"{name} holds a dummy ({DUMMY_PREFIX}…): in production it must hold a real password")
        return value


def _holds(value: str) -> str:
    return f"holds {value!r}" if value else "is not set"
