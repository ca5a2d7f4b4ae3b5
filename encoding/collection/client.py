"""Requests to an OpenAI-compatible server: many at once, tried again where that can help, never where it cannot."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from ..core import ConfigError, DataError, EncodingError
from .concurrency import Gate
from .secrets import Secret
from .trials import Ledger, Stopped

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger(__name__)

AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
OVERLOAD = {429, 503, 529}
HOPELESS = {401, 402, 403, 404, 405}  # the next request would fare no better
LONGEST_WAIT = 900.0  # s; a server that wants more is left alone until somebody starts the run again
FIRST_WAIT, MOST_WAIT = 0.5, 30.0  # s


class Failed(EncodingError):  # noqa: N818
    """A request got no usable reply.

    Parameters
    ----------
    detail : str
        Why.
    tries : int
        How many times it was sent.
    refused : bool, optional
        Whether the server declined for what the request holds.
    """

    def __init__(self, detail: str, tries: int, *, refused: bool = False) -> None:
        super().__init__(detail)
        self.tries = tries
        self.refused = refused


class Reply(NamedTuple):
    """A reply.

    Attributes
    ----------
    content : dict
        Decoded JSON.
    tries : int
        How many times the request was sent.
    latency : float
        Seconds that the last one took.
    """

    content: dict[str, Any]
    tries: int
    latency: float


class _Passing(Exception):  # noqa: N818
    """Something that may go better the next time."""

    def __init__(self, detail: str, *, overloaded: bool = False, wait: float | None = None) -> None:
        super().__init__(detail)
        self.overloaded = overloaded
        self.wait = wait


class Client:
    """A connection to one server.

    Parameters
    ----------
    url : str
        Address of the API, up to and with ``/v1``.
    secret : Secret
        Key.
    gate : Gate
        Limit on requests under way.
    timeout : float
        Seconds for one request.
    tries : int
        How many times a request is sent at most.

    Raises
    ------
    ConfigError
        If the address is none, or holds a password or key.
    """

    def __init__(self, url: str, secret: Secret, gate: Gate, *, timeout: float, tries: int) -> None:
        self.url = check_url(url)
        self._secret, self._gate = secret, gate
        self._timeout, self._tries = timeout, tries
        self._jitter = random.Random(0)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Client":
        try:
            import aiohttp
        except ImportError as error:
            raise DataError("Requests to servers need aiohttp: pip install 'brain-encoding[collect]'.") from error
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers={"Content-Type": "application/json", **self._secret.headers()},
            trust_env=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str) -> tuple[Any, str]:
        """Ask the server about itself.

        Parameters
        ----------
        path : str
            After the address.

        Returns
        -------
        content : object or None
            Decoded JSON; None if there is none.
        server : str
            What the server calls itself in its headers.
        """
        import aiohttp

        assert self._session is not None
        try:
            async with self._session.get(self.url + path, allow_redirects=False) as response:
                body = await response.read()
                server = response.headers.get("Server", "")
                return (json.loads(body) if response.status == 200 else None), server
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None, ""

    async def post(self, path: str, body: bytes, ledger: Ledger) -> Reply:
        """Send a request, and again if that can help.

        Parameters
        ----------
        path : str
            After the address.
        body : bytes
            JSON.
        ledger : Ledger
            Is told before every request.

        Returns
        -------
        Reply
            A JSON object.

        Raises
        ------
        Failed
            If there is no usable reply after all tries, or more tries cannot help.
        Stopped
            If the budget is spent, or the server will answer nothing.
        """
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
                raise Failed(f"{trouble} ({attempt} tries)", attempt)
            await self._wait(trouble, attempt)
        raise Failed("no tries were allowed", 0)

    async def _wait(self, trouble: _Passing, attempt: int) -> None:
        if trouble.wait is None:
            # Full jitter, so that requests that failed together do not come back together.
            await asyncio.sleep(self._jitter.uniform(0, min(MOST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))))
            return
        if trouble.wait > LONGEST_WAIT:
            raise Stopped(f"the server wants {trouble.wait:,.0f} s of rest ({trouble}); run again after that")
        self._gate.close_for(trouble.wait)
        await asyncio.sleep(trouble.wait * self._jitter.uniform(1.0, 1.1))

    async def _once(self, path: str, body: bytes, attempt: int) -> dict[str, Any]:
        import aiohttp

        assert self._session is not None
        try:
            async with self._session.post(self.url + path, data=body, allow_redirects=False) as response:
                text = await response.read()
                status, headers = response.status, response.headers
        except TimeoutError:
            raise _Passing(f"no reply within {self._timeout:g} s", overloaded=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _Passing(self._secret.redact(f"no connection: {type(error).__name__}: {error}")) from None
        if status != 200:
            self._raise(status, headers, text, attempt)
        try:
            content = json.loads(text)
        except ValueError:
            raise _Passing("the reply is not JSON") from None
        if not isinstance(content, dict) or not content.get("choices"):
            raise _Passing("the reply holds no choices")
        return content

    def _raise(self, status: int, headers: Mapping[str, str], text: bytes, attempt: int) -> None:
        said = self._secret.redact(text.decode("utf-8", "replace"))[:300].strip()
        detail = f"status {status}: {said}" if said else f"status {status}"
        if status in AGAIN:
            wait = _retry_after(headers.get("Retry-After"))
            raise _Passing(detail, overloaded=status in OVERLOAD, wait=wait)
        if status in HOPELESS:
            key = f" Its key is taken from {self._secret.variable}." if self._secret.variable else ""
            raise Stopped(f"{self.url} answers nothing ({detail}).{key}")
        refused = any(
            word in said.lower() for word in ("content_filter", "content_policy", "content management", "safety")
        )
        raise Failed(detail, attempt, refused=refused)


def check_url(url: str) -> str:
    """Check the address of a server.

    Parameters
    ----------
    url : str
        Address.

    Returns
    -------
    str
        Without a slash at the end.

    Raises
    ------
    ConfigError
        If it is none, or holds a password or a key.
    """
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("url holds a password, a key or a query. Keys belong in environment variables.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f'url = {url!r}, but an address such as "http://127.0.0.1:8000/v1" is needed.')
    return url.rstrip("/")


def _retry_after(value: str | None) -> float | None:
    """Read how long the server wants to be left alone: seconds, or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
