"""Requests to an OpenAI-compatible server: many at once, tried again where that can help, never where it cannot."""

import asyncio
import contextlib
import io
import json
import logging
import random
import re
import time
import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..core import ConfigError, DataError, EncodingError
from .concurrency import Gate
from .reading import clean
from .secrets import Secret
from .trials import Ledger, Stopped

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

logger = logging.getLogger(__name__)

OVERLOAD = {429, 503, 529}
FINAL = {501, 505}  # errors of a server that no repetition mends
ELSEWHERE = {301, 302, 303, 307, 308}
HOPELESS = {401, 402, 404, 405, *ELSEWHERE}  # the next request would fare no better
LONGEST_WAIT = 900.0  # s; a server that wants more is left alone until somebody starts the run again
FIRST_WAIT, MOST_WAIT = 0.5, 30.0  # s
MOST_BYTES = 16 << 20  # of a body, once it is unpacked
EXCERPT = 300  # characters of a body that are kept
AT_ONCE = 1 << 20  # bytes of a request that are given to the socket in one piece
# How servers say that they decline for what a request holds, that there is no money left, that a key is wrong.
POLICY = re.compile(
    r"content[_ ]?(filter|policy|management|moderation)|moderat|flagged|safety|usage polic|violat\w* .{0,40}polic"
    r"|polic\w* violat|against .{0,30}polic|inappropriate|data_inspection_failed|responsible[_ ]?ai"
    r"|prohibited[_ ]content|block_?reason|sensitive (content|word)|harmful|content .{0,30}blocked"
    r"|refus(al|ed to answer)",
    re.IGNORECASE,
)
SPENT = re.compile(
    r"insufficient[_ ](quota|credit|balance|fund)|credit balance is too low|billing[_ ](hard[_ ]limit|not[_ ]active)"
    r"|out of credits|payment required|quota_exceeded_billing|spending limit",
    re.IGNORECASE,
)
QUOTA = re.compile(r"exceeded your current quota", re.IGNORECASE)  # also said of limits per minute, with a delay
DELAY = re.compile(r"retry[_ ]?(delay|in|after)|per minute", re.IGNORECASE)
LOCKED = re.compile(
    r"api[-_ ]?key|permission|authenti|authoriz|credential|subscription|billing|not supported in your (country|region)"
    r"|unsupported_country"
    r"|access (to|denied)|access_denied|invalid token|account",
    re.IGNORECASE,
)


class Failed(EncodingError):  # noqa: N818
    """A request got no usable reply."""

    def __init__(self, detail: str, tries: int, *, refused: bool = False, status: int = 0) -> None:
        super().__init__(detail)
        self.tries = tries
        self.refused = refused
        self.status = status


class Reply(NamedTuple):
    """A reply."""

    content: dict[str, Any]
    tries: int
    latency: float


class _Passing(Exception):  # noqa: N818
    """A transient failure, worth a retry."""

    def __init__(self, detail: str, *, overloaded: bool = False, wait: float | None = None, status: int = 0) -> None:
        super().__init__(detail)
        self.status = status
        self.overloaded = overloaded
        self.wait = wait


class Client:
    """A connection to one server."""

    def __init__(self, url: str, secret: Secret, gate: Gate, *, timeout: float, tries: int, query: str = "") -> None:
        self.url = check_url(url)
        self._secret, self._gate = secret, gate
        self._timeout, self._tries = timeout, tries
        self._jitter = random.Random(0)
        self._query = query
        self._proxy = _proxy(self.url)
        self._session: aiohttp.ClientSession | None = None
        self._addresses: dict[str, URL] = {}

    async def __aenter__(self) -> "Client":
        try:
            import aiohttp
        except ImportError as error:
            raise DataError("Requests to servers need aiohttp: pip install 'brain-encoding[collect]'.") from error
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers={"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate", **self._secret.headers()},
            auto_decompress=False,  # a body is unpacked up to a limit
            trust_env=False,  # it would send passwords of ~/.netrc
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str) -> tuple[Any, str]:
        """Return the JSON at a path (None if there is none) and the Server header."""
        import aiohttp

        assert self._session is not None
        try:
            where = self._where(path)
            async with self._session.get(where, allow_redirects=False, proxy=self._proxy) as response:
                server = self._secret.redact(response.headers.get("Server", ""))[:100]
                return (json.loads(await _body(response)) if response.status == 200 else None), server
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError, _TooLarge):
            return None, ""

    def _address(self, path: str) -> "URL":
        """Return the address of a path, which is taken apart once and not for every request."""
        from yarl import URL

        return self._addresses.setdefault(path, URL(self._where(path)))

    def _where(self, path: str) -> str:
        return f"{self.url}{path}{self._query}"

    async def post(self, path: str, body: bytes, ledger: Ledger) -> Reply:
        """Send a request, retry what may pass, and return the completion; raise `Failed` or `Stopped` otherwise."""
        for attempt in range(1, self._tries + 1):
            await self._gate.enter()
            start = time.perf_counter()
            overloaded = False
            try:
                ledger.request()
                content = await self._once(path, body, attempt)
                return Reply(content, attempt, time.perf_counter() - start)
            except _Passing as error:
                overloaded, trouble = error.overloaded, error
            finally:
                self._gate.leave(overloaded=overloaded, round_trip=time.perf_counter() - start)
            if attempt == self._tries:
                raise Failed(f"{trouble} ({attempt} tries)", attempt, status=trouble.status)
            await self._wait(trouble, attempt)
        raise Failed("no tries were allowed", 0)

    async def call(self, path: str, content: Any = None, *, form: Any = None) -> dict[str, Any]:
        """Send JSON or a form, or ask with nothing to send, and return the JSON object of the reply."""
        import aiohttp

        assert self._session is not None
        how: dict[str, Any] = {"allow_redirects": False, "proxy": self._proxy}
        if form is not None:
            how |= {"data": form, "headers": {"Content-Type": f"multipart/form-data; boundary={form.boundary}"}}
        elif content is not None:
            how["data"] = json.dumps(content)
        method = "GET" if content is None and form is None else "POST"
        try:
            async with self._session.request(method, self._where(path), **how) as response:
                text = await _body(response)
                found = json.loads(text) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError, _TooLarge) as error:
            raise DataError(self._secret.redact(f"{self.url}{path}: {type(error).__name__}: {error}")) from None
        if not isinstance(found, dict):
            raise DataError(f"{self.url}{path}: status {response.status}: {self._excerpt(text)}")
        return found

    async def upload(self, path: Path) -> dict[str, Any]:
        """Upload a batch file."""
        import aiohttp

        form = aiohttp.MultipartWriter("form-data")
        form.append("batch").set_content_disposition("form-data", name="purpose")
        with path.open("rb") as stream:
            part = form.append(stream, {"Content-Type": "application/jsonl"})
            part.set_content_disposition("form-data", name="file", filename=path.name)
            return await self.call("/files", form=form)

    async def download(self, path: str, target: BinaryIO) -> None:
        """Write what an address holds to a file."""
        import aiohttp

        assert self._session is not None
        try:
            async with self._session.get(self._where(path), proxy=self._proxy) as response:
                if response.status != 200:
                    raise DataError(
                        f"{self.url}{path}: status {response.status}: {self._excerpt(await _body(response))}"
                    )
                packing = response.headers.get("Content-Encoding", "").strip().lower()
                unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if packing in ("gzip", "deflate") else None
                async for chunk in response.content.iter_chunked(1 << 16):
                    target.write(unpack.decompress(chunk) if unpack else chunk)
        except (aiohttp.ClientError, TimeoutError, OSError, zlib.error) as error:
            raise DataError(self._secret.redact(f"{self.url}{path}: {type(error).__name__}: {error}")) from None

    async def _wait(self, trouble: _Passing, attempt: int) -> None:
        if trouble.wait is None:
            # Full jitter, so that requests that failed together do not come back together.
            await asyncio.sleep(self._jitter.uniform(0, min(MOST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))))
            return
        if not trouble.wait <= LONGEST_WAIT:  # NaN and infinity are no time to wait
            raise Stopped(f"the server wants {trouble.wait:,.0f} s of rest ({trouble}); run again after that")
        self._gate.close_for(trouble.wait)
        await asyncio.sleep(trouble.wait * self._jitter.uniform(1.0, 1.1))

    async def _once(self, path: str, body: bytes, attempt: int) -> dict[str, Any]:
        import aiohttp

        assert self._session is not None
        try:
            where = self._addresses.get(path) or self._address(path)
            data = body if len(body) < AT_ONCE else io.BytesIO(body)  # which is sent in pieces
            async with self._session.post(where, data=data, allow_redirects=False, proxy=self._proxy) as response:
                status, headers = response.status, response.headers
                text = await _body(response)
        except TimeoutError:
            raise _Passing(f"no reply within {self._timeout:g} s", overloaded=True) from None
        except _TooLarge as error:
            raise Failed(f"status {status}: {error}", attempt, status=status) from None
        except zlib.error:
            raise _Passing("the reply cannot be unpacked") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _Passing(self._secret.redact(f"no connection: {type(error).__name__}: {error}")) from None
        return self._content(status, headers, text, attempt)

    def judge(self, status: int, text: bytes) -> dict[str, Any]:
        """Return the completion in a reply that came by other means; raise `Failed` if it is none."""
        try:
            return self._content(status, {}, text, 1)
        except (_Passing, Stopped) as error:
            raise Failed(str(error), 1, status=status) from None

    def _content(self, status: int, headers: Mapping[str, str], text: bytes, attempt: int) -> dict[str, Any]:
        if status != 200:
            self._raise(status, headers, text, attempt)
        try:
            # Twice the same name would silently mean the last; looked for only where it can be.
            twice = (
                text.count(b'"choices"') > 1 or text.count(b'"message"') > 1 or text.count(b'"usage"') > 1
                or text.count(b'"content"') > 2  # of the message, and of the probabilities
            )  # fmt: skip
            content = json.loads(text, object_pairs_hook=_distinct if twice else None)
        except _Twice as error:
            raise Failed(f"the reply names {error} twice: {self._excerpt(text)}", attempt, status=status) from None
        except (ValueError, RecursionError):
            raise _Passing(f"the reply is not JSON: {self._excerpt(text)}") from None
        if not isinstance(content, dict):
            raise _Passing(f"the reply is no JSON object: {self._excerpt(text)}")
        self._check(content, headers, text, attempt)
        return content

    def _check(self, content: dict[str, Any], headers: Mapping[str, str], text: bytes, attempt: int) -> None:
        """Find what went wrong although the status is 200."""
        choices = content.get("choices")
        first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        error = content.get("error") or first.get("error")
        if error:
            code = _status(error.get("code", error.get("status")) if isinstance(error, dict) else None)
            if not code:  # no number, or none of HTTP's
                code = 400 if POLICY.search(text[:100_000].decode("utf-8", "replace")) else 502
            self._raise(code, headers, text, attempt)
        if not choices:
            if POLICY.search(text[:100_000].decode("utf-8", "replace")):
                raise Failed(f"status 200: {self._excerpt(text)}", attempt, refused=True, status=200)
            raise _Passing(f"the reply holds no choices: {self._excerpt(text)}")

    def _excerpt(self, text: bytes) -> str:
        return clean(self._secret.redact(text[:20_000].decode("utf-8", "replace")))[:EXCERPT].strip()

    def _raise(self, status: int, headers: Mapping[str, str], text: bytes, attempt: int) -> None:
        """Turn a reply that is none into the error that it means."""
        whole = text[:100_000].decode("utf-8", "replace")
        said = self._excerpt(text)
        detail = f"status {status}: {said}" if said else f"status {status}"
        wait = _retry_after(headers.get("Retry-After"))
        unpaid = SPENT.search(whole) or (QUOTA.search(whole) and wait is None and not DELAY.search(whole))
        if unpaid:
            raise Stopped(
                f"{self.url}: the quota or credit is used up ({detail}); nothing is asked until that is mended"
            )
        if POLICY.search(whole) and status < 500 and status not in {401, 404, 405, 429}:
            raise Failed(detail, attempt, refused=True, status=status)
        key = f" Its key is taken from {self._secret.variable}." if self._secret.variable else ""
        if status in HOPELESS or (status == 403 and LOCKED.search(whole)):
            moved = self._secret.redact(headers.get("Location", "")) if status in ELSEWHERE else ""
            key += f" It says that it has moved to {moved}; set `url` to that." if moved else ""
            raise Stopped(f"{self.url} answers nothing ({detail}).{key}")
        if status in {408, 409, 425, 429} or (status >= 500 and status not in FINAL):
            raise _Passing(detail, overloaded=status in OVERLOAD, wait=wait, status=status)
        raise Failed(detail, attempt, refused=status == 403, status=status)


class _Twice(Exception):  # noqa: N818
    """An object with two values under one name."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of JSON that these pairs make; refuse two values under one name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for name in names if names.count(name) > 1)
        if not all(value == found[name] for key, value in pairs if key == name):
            raise _Twice(repr(name[:40]))
    return found


class _TooLarge(Exception):  # noqa: N818
    """A body with more bytes than a completion can have."""

    def __init__(self) -> None:
        super().__init__(f"the reply is larger than {MOST_BYTES >> 20} MiB, and was not read")


async def _body(response: "aiohttp.ClientResponse") -> bytes:
    """Read a body, unpacked, up to a limit."""
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    length = response.content_length
    if length is not None and length > MOST_BYTES:
        response.close()
        raise _TooLarge
    if packing in ("", "identity") and length is not None:
        return await response.read()
    if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise ValueError(f"the reply is packed as {packing[:20]!r}, which was not offered")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if packing not in ("", "identity") else None
    parts, size = [], 0
    async for chunk in response.content.iter_chunked(1 << 16):
        part = unpack.decompress(chunk, MOST_BYTES + 1 - size) if unpack else chunk
        size += len(part)
        if size > MOST_BYTES:
            response.close()
            raise _TooLarge
        parts.append(part)
    return b"".join(parts)


def check_url(url: str) -> str:
    """Validate the address of a server and strip the trailing slash."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("url holds a password, a key or a query. Keys belong in the environment.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f'url = {url!r}, but an address such as "http://127.0.0.1:8000/v1" is needed.')
    return url.rstrip("/")


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _status(code: Any) -> int:
    """Return the status of HTTP that an error in a body names as a number or in digits; 0 if it names none."""
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    known = isinstance(code, int | float) and not isinstance(code, bool) and 400 <= code < 600  # not NaN either
    return int(code) if known else 0


def _retry_after(value: str | None) -> float | None:
    """Read how long the server wants to be left alone: seconds, or a date."""
    if not value:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
