"""Problem documents: the body of every answer that reports an error (RFC 9457)."""

import json
from http import HTTPStatus

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str | None, request_id: str) -> bytes:
    """Return a problem document.

    Args:
        status: The answer's HTTP status.
        detail: What is wrong with this request, for a human; never anything internal.
        request_id: What finds the request in the logs.
    """
    return json.dumps(
        {
            "type": "about:blank",  # RFC 9457, section 4.2.1: there is no more to know than what the status says
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "request_id": request_id,
        }
    ).encode()
