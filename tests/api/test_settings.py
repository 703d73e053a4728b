"""The environment variables: what is read, and what is said about a wrong one."""

import pytest

from datapress_api.settings import Settings, SettingsError, read_settings

GOOD = {"APP_ENV": "dev", "DB_PASSWORD": "demo-password"}


def test_reads_everything() -> None:
    assert read_settings(
        {
            "APP_ENV": "production",
            "DB_PASSWORD": "a-real-one",
            "APP_VERSION": "1.0",
            "APP_REVISION": "abc",
            "LOG_LEVEL": "debug",
            "API_PORT": "8080",
            "METRICS_PORT": "65535",
            "BIND_ADDRESS": "::1",
        }
    ) == Settings("production", "a-real-one", "1.0", "abc", "debug", 8080, 65535, "::1")


def test_needs_only_environment_and_password() -> None:
    assert read_settings(GOOD) == Settings("dev", "demo-password", "dev", "unknown", "info", 8000, 9100, "0.0.0.0")


def test_takes_an_environment_that_it_was_not_built_for() -> None:
    assert read_settings(GOOD | {"APP_ENV": "preprod"}).environment == "preprod"


def test_takes_an_empty_variable_for_an_absent_one() -> None:
    empty = dict.fromkeys(["APP_VERSION", "APP_REVISION", "LOG_LEVEL", "API_PORT", "METRICS_PORT"], "")
    assert read_settings(GOOD | empty) == read_settings(GOOD)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"APP_ENV": ""}, "APP_ENV is not set: it must be a name such as dev, of a-z, 0-9 and '-'"),
        ({"APP_ENV": "Dev"}, "APP_ENV holds 'Dev': it must be a name such as dev, of a-z, 0-9 and '-'"),
        ({"APP_ENV": "a\nb"}, r"APP_ENV holds 'a\nb': it must be a name such as dev, of a-z, 0-9 and '-'"),
        ({"DB_PASSWORD": ""}, "DB_PASSWORD is not set: it must hold the database's password"),
        (
            {"APP_ENV": "production"},
            "DB_PASSWORD holds a dummy (demo-…): in production it must hold a real password",
        ),
        ({"APP_ENV": "prod-eu"}, "DB_PASSWORD holds a dummy (demo-…): in production it must hold a real password"),
        ({"LOG_LEVEL": "INFO"}, "LOG_LEVEL holds 'INFO': it must be one of debug, info, warning, error"),
        ({"API_PORT": "0"}, "API_PORT holds '0': it must be a port from 1 to 65535"),
        ({"API_PORT": "tcp://10.0.0.1:80"}, "API_PORT holds 'tcp://10.0.0.1:80': it must be a port from 1 to 65535"),
        ({"METRICS_PORT": "65536"}, "METRICS_PORT holds '65536': it must be a port from 1 to 65535"),
        ({"METRICS_PORT": "٨"}, "METRICS_PORT holds '٨': it must be a port from 1 to 65535"),
        ({"BIND_ADDRESS": "localhost"}, "BIND_ADDRESS holds 'localhost': it must be an IP address, such as 0.0.0.0"),
        ({"METRICS_PORT": "8000"}, "API_PORT and METRICS_PORT are both 8000: they must differ"),
    ],
)
def test_says_what_is_wrong(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(GOOD | environ)
    assert str(error.value) == message


def test_names_all_mistakes_at_once() -> None:
    with pytest.raises(SettingsError, match=r"APP_ENV .*; DB_PASSWORD .*; LOG_LEVEL .*; API_PORT "):
        read_settings({"LOG_LEVEL": "x", "API_PORT": "x"})


def test_never_shows_the_password() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({"APP_ENV": "production", "DB_PASSWORD": "demo-secret"})
    assert "secret" not in str(error.value)
    assert "secret" not in repr(read_settings({"APP_ENV": "dev", "DB_PASSWORD": "demo-secret"}))
