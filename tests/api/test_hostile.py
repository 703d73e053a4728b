"""Hostile requests straight to gunicorn, without the front that shields it; tests/cluster has them through both."""

from tests.support.gunicorn_server import Server
from tests.support.hostile.shapes import cases
from tests.support.hostile.verdict import CLIENT_HAD_LEFT, GUNICORN, assert_harmless
from tests.support.hostile.wire import exchange


def test_every_hostile_request_is_refused_or_answered_right(server: Server) -> None:
    tried = cases(of_each=50)
    replies = exchange(("127.0.0.1", server.port), [case.cut_short for case in tried], at_once=200, patience=20)
    assert_harmless(tried, replies, GUNICORN)
    assert server.request("/health").status == 200
    lines = [line for line in server.lines() if line["msg"] != CLIENT_HAD_LEFT]
    assert not [line for line in lines if "traceback" in line or "smuggled" in str(line)]
