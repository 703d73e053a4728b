"""Prometheus metrics about the requests answered."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

UNMATCHED = "unmatched"
OTHER = "OTHER"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more per counter, which Prometheus does not use


class Metrics:
    """The metrics of one process; `registry` has them all."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds", "Time to answer a request.", ["method", "route"], registry=self.registry
        )
        self._series = cache(self._make_series)

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one answer.

        Args:
            method: The request's method; one that HTTP does not define counts as `OTHER`, because every label value is
                a time series for ever and a client must not be able to make one.
            route: The pattern that matched, never the path (for the same reason); None if none did.
            status: The answer's status.
            seconds: How long the answer took.
        """
        count, duration = self._series(method if method in METHODS else OTHER, route or UNMATCHED, status)
        count.inc()
        duration.observe(seconds)

    def _make_series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """Look the two series up; cached, because prometheus-client takes longer for it than for counting."""
        return self._requests.labels(method, route, status), self._seconds.labels(method, route)
