"""Any server that speaks the chat API of OpenAI: vLLM, SGLang, llama.cpp, Ollama, or a vendor."""

import base64
import json
import mimetypes
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from annotated_types import Interval

from ..core import ConfigError, DataError
from ..core.settings import CountOrZero, NotNegative, OneOf, Positive, Probability, Text, Unit, settings
from .adapting import MOST_LESSONS, Habits
from .client import Client, Failed, Reply, check_url
from .concurrency import Gate, Room
from .contents import Contents
from .prompts import Prompt, Turn, load_prompt
from .reading import NO_PROBABILITIES, Malformed, clean, first_choice, read_reply, strip_reasoning, text_of
from .secrets import Secret
from .trials import Answer, Ledger, Stopped, Trial

PATH = "/chat/completions"
RESERVED = ("model", "messages", "max_tokens", "temperature", "seed", "logprobs", "top_logprobs", "stream", "n")
CACHED_CHARACTERS = 1 << 30  # of frames that are kept ready to be sent
MOST_UNDER_WAY = 1 << 29  # bytes of requests with pictures or clips that are sent at once
STRUCTURED = ("", "json", "choice")
MEDIA = ("data", "file")
OPTIONAL = ("reasoning_tokens", "structured", "persona", "video_frames", "video_fps", "video_sound")
MOST_CLIP = 100 << 20  # bytes of a video within a request
LEAST_JSON = 32  # tokens of {"answer": "A"}
MOST_TOKENS = 1e9  # in one trial; a server that counts more has not counted
EXCERPT = 300  # characters of a reply that could not be read


@settings("[[annotator]]")
class OpenAI:
    """A model behind a chat API.

    Examples
    --------
    >>> from encoding.collection import OpenAI
    >>> OpenAI("a-model", "odd_one_out_captions", url="http://127.0.0.1:8000/v1").model
    'a-model'
    """

    model: Text
    """Name under which the server knows the model."""
    prompt: Text
    """A prompt that comes with the package, or a file of your own."""
    url: Text = "http://127.0.0.1:8000/v1"
    """Address of the API, up to and with ``/v1``."""
    name: str = ""
    """Name of the annotator in tables; that of the model if left out."""
    temperature: NotNegative = 0.0
    """Sampling temperature; 0 for the most likely answer."""
    seed: Annotated[int, Interval(ge=-(2**63), le=2**63 - 1)] | None = None
    """Seed that is passed to the server."""
    top_logprobs: Annotated[int, Interval(ge=1, le=1000)] = 20
    """Number of tokens whose probabilities are requested."""
    least_mass: Probability = 0.1
    """Total probability of the three labels from which an answer is valid."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of the request, for instance ``{ chat_template_kwargs = { enable_thinking = false } }``."""
    key_variable: str = ""
    """Environment variable that holds the key; "" if the server needs none."""
    concurrency: Annotated[int, Interval(ge=1, le=100_000)] = 64
    """Largest number of concurrent requests; the actual number adapts to the server."""
    per_minute: Annotated[NotNegative, Unit("requests per minute")] = 0.0
    """Largest number of requests per minute; 0 for any number."""
    timeout: Annotated[Positive, Unit("s")] = 120.0
    """Seconds for one request."""
    tries: Annotated[int, Interval(ge=1, le=1000)] = 6
    """Largest number of times that a request is sent."""

    api_version: str = ""
    """Version of the API, for deployments on Azure: their address ends in ``/openai/deployments/NAME``."""
    reasoning_tokens: CountOrZero = 0
    """Tokens that a model may use for reasoning, in addition to those of the prompt."""
    structured: Annotated[str, OneOf(STRUCTURED)] = ""
    """How the server is made to answer with a label and nothing else: "json" (a schema) or "choice" (vLLM)."""
    media: Annotated[str, OneOf(MEDIA)] = "data"
    """How frames and videos are sent: within the request, or as ``file://`` addresses for a server on this machine."""
    video_frames: CountOrZero = 0
    """Frames that the server uses of a video; 0 for its default."""
    video_fps: Annotated[NotNegative, Unit("frames per second")] = 0.0
    """Frames per second that the server uses of a video; 0 for its default."""
    video_sound: bool = False
    """Whether the sound of videos is used, if the model supports it."""
    persona: str = ""
    """Text in front of the system message, for replicates of one judge with different personas."""

    def __post_init__(self) -> None:
        """Check the address and the further parameters."""
        check_url(self.url)
        for key in self.extra:
            if key in RESERVED:
                raise ConfigError(f"extra: {key!r} has a key of its own, or is set by the prompt.")

    def open(self, contents: Contents, base: str | Path = ".") -> "ChatAnnotator":
        """Make the annotator.

        Parameters
        ----------
        contents : Contents
            What can be shown.
        base : str or Path, optional
            Folder that the prompt is relative to.

        Returns
        -------
        ChatAnnotator
            Ready to be asked.
        """
        return ChatAnnotator(self, load_prompt(self.prompt, base), contents)


class ChatAnnotator:
    """An annotator behind a chat API."""

    def __init__(self, settings: OpenAI, prompt: Prompt, contents: Contents) -> None:
        self.name = settings.name or settings.model
        self.batch = 1
        self.concurrency = settings.concurrency
        self._settings, self._prompt, self._contents = settings, prompt, contents
        has = "captions" if any(contents.texts) else "frames" if any(contents.images) else "neither"
        if has != prompt.shows:
            raise ConfigError(
                f"[[annotator]] prompt {prompt.name!r} shows {prompt.shows}, but [stimuli] gives {has}. "
                f'Set `show` in [stimuli] to "{prompt.shows}".'
            )
        azure = bool(settings.api_version) or (urlsplit(settings.url).hostname or "").endswith(".azure.com")
        self._secret = Secret(settings.key_variable, needed=bool(settings.key_variable), azure=azure)
        self._system = "\n\n".join(filter(None, (settings.persona, prompt.system)))
        self._shown = _Shown(contents, settings.media)
        self._turns = [_Template(turn, framed=prompt.shows == "frames") for turn in prompt.turns]
        self._habits = Habits(settings.model, dict(settings.extra))
        self._room = Room(MOST_UNDER_WAY)
        self._turn = self._roomy if any(contents.images) else self._send  # captions take no memory to speak of
        self._client: Client | None = None
        self._judge: Client | None = None  # reads replies that came by other means
        self._soft = False  # whether any reply had probabilities
        self._served: dict[tuple[Any, Any], tuple[str, str] | None] = {}
        self._write_heads()

    @property
    def fixed_characters(self) -> int:
        """Characters before the first item: the same in all trials."""
        return len(self._system) + len(self._prompt.turns[0].pieces[0])

    def identity(self) -> dict[str, Any]:
        """List everything that shapes the answers; the address does not."""
        names, settings = ("model", "temperature", "seed", "top_logprobs", "least_mass"), self._settings
        return {
            "kind": "openai",
            **{name: getattr(settings, name) for name in names},
            "extra": dict(settings.extra),
            "prompt": self._prompt.name,
            "prompt_hash": self._prompt.digest,
            # Named only where they are used, so that answers of earlier versions keep their key.
            **{name: getattr(settings, name) for name in OPTIONAL
               if getattr(settings, name)},
        }  # fmt: skip

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[dict[str, Any]]:
        """Connect, and yield the server's address, models and version."""
        settings = self._settings
        query = f"?api-version={quote(settings.api_version)}" if settings.api_version else ""
        gate = Gate(settings.concurrency, settings.per_minute)
        client = Client(settings.url, self._secret, gate, timeout=settings.timeout, tries=settings.tries, query=query)
        async with client:
            models, server = await client.get("/models")
            version, _ = await client.get("/../version")
            self._client = client
            listed = models.get("data") if isinstance(models, dict) else None
            names = [str(entry.get("id"))[:200] for entry in (listed if isinstance(listed, list) else [])[:20]
                     if isinstance(entry, dict)]  # fmt: skip
            notes = {
                "url": settings.url,
                "server": server,
                "models": names,
                "version": str(version.get("version", ""))[:100] if isinstance(version, dict) else "",
            }
            try:
                yield self._secret.redact_all(notes)
            finally:
                self._client = None

    async def ask(self, trials: Sequence[Trial], ledger: Ledger) -> list[Answer]:
        """Answer one trial after the other."""
        return [await self._ask(trial, ledger) for trial in trials]

    @property
    def lessons(self) -> tuple[str, ...]:
        """What requests leave out or write otherwise, since the server did not take it."""
        return tuple(self._habits.learned)

    @property
    def one_turn(self) -> bool:
        """Whether a trial is one request."""
        return len(self._turns) == 1

    @property
    def client(self) -> Client:
        """The connection, within `ready`."""
        assert self._client is not None
        return self._client

    def redact(self, text: str) -> str:
        """Return a text without keys."""
        return self._secret.redact(text)

    def request(self, trial: Trial) -> str:
        """Write the request of a trial as JSON in one line."""
        return self._body(trial, 0, [])

    def answer(self, status: int, body: bytes) -> Answer:
        """Read a reply that came by other means than `ask`."""
        if self._judge is None:
            settings = self._settings
            self._judge = Client(settings.url, self._secret, Gate(1), timeout=settings.timeout, tries=1)
        return self._answer(Reply(self._judge.judge(status, body), 1, 0.0))

    def _answer(self, reply: Reply) -> Answer:
        used = [0, 0, 0]
        try:
            used = _usage(reply.content)
            answer = self._read(reply)
        except Malformed as error:
            answer = Answer("error", reply=_excerpt(reply.content), detail=f"the reply is no chat completion: {error}")
        return self._counted(answer, used, reply, 1)

    def _counted(self, answer: Answer, used: Sequence[int], reply: Reply, tries: int) -> Answer:
        """Return an answer without keys, with what it took; written out, since `_replace` takes its time."""
        return Answer(
            answer.outcome, answer.choice, answer.probabilities, answer.mass, self._secret.redact(answer.reply),
            self._secret.redact(answer.detail), used[0], used[1], used[2], tries, reply.latency,
            self._server_of(reply.content),
        )  # fmt: skip

    async def _ask(self, trial: Trial, ledger: Ledger) -> Answer:
        tries, used, reply = 0, [0, 0, 0], None
        said: list[str] = []
        try:
            for turn in range(len(self._turns)):
                if reply is not None:
                    text = _first_message(reply)
                    if text is None:  # refused or cut off before the question was put
                        break
                    said.append(text)
                try:
                    reply, n = await self._turn(trial, turn, said, ledger)
                except Failed as error:
                    outcome = "refused" if error.refused else "error"
                    return Answer(outcome, detail=str(error), tokens_in=used[0], tokens_cached=used[1],
                                  tokens_out=used[2], tries=tries + error.tries)  # fmt: skip
                tries += n
                taken = _usage(reply.content)
                used = [a + b for a, b in zip(used, taken, strict=True)] if turn else taken
            assert reply is not None
            answer = self._read(reply)
        except Malformed as error:
            assert reply is not None
            answer = Answer("error", reply=_excerpt(reply.content), detail=f"the reply is no chat completion: {error}")
        assert reply is not None
        return self._counted(answer, used, reply, tries)

    async def _roomy(self, trial: Trial, turn: int, said: list[str], ledger: Ledger) -> tuple[Reply, int]:
        """Send one turn, once there is room for it in memory."""
        size = sum(len(self._shown(content)) for content in trial.shown)
        await self._room.enter(size)
        try:
            return await self._send(trial, turn, said, ledger)
        finally:
            self._room.leave(size)

    async def _send(self, trial: Trial, turn: int, said: list[str], ledger: Ledger) -> tuple[Reply, int]:
        """Send one turn, written anew each time that the server says what it does not take."""
        assert self._client is not None
        tries = 0
        for _ in range(MOST_LESSONS):
            version = self._habits.version
            body = self._body(trial, turn, said).encode()
            try:
                reply = await self._client.post(PATH, body, ledger)
            except Failed as error:
                error.tries = tries = tries + error.tries
                if not self._learn(error, turn, version):
                    raise
            else:
                return reply, tries + reply.tries
        raise Failed("the server finds fault with every form of the request", tries)

    def _learn(self, error: Failed, turn: int, version: int) -> bool:
        if error.refused or error.status not in (400, 422, 500, 501):
            return False
        if version != self._habits.version:
            return True  # another trial has learned meanwhile
        if self._habits.learn(str(error), self._fields[turn]):
            self._write_heads()
            return True
        if self._habits.no_probabilities and self._prompt.answer == "logprobs":
            raise Stopped(self._no_probabilities(str(error)))
        return False

    def _body(self, trial: Trial, turn: int, said: list[str]) -> str:
        """Write a request; its pieces are put together once, since frames and clips are long."""
        shown = [self._shown(content) for content in trial.shown]
        parts = [self._heads[turn]]
        for number in range(turn + 1):
            before = "" if number or self._habits.system else self._system
            parts.append('{"role":"user","content":')
            parts += self._turns[number].fill(shown, before)
            if number < turn:
                parts.append(f'}},{{"role":"assistant","content":{json.dumps(said[number])}}},')
        parts.append("}]}")
        return "".join(parts)

    def _read(self, reply: Reply) -> Answer:
        try:
            answer = read_reply(reply.content, self._prompt, self._settings.least_mass)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as error:
            if isinstance(error, Malformed):
                raise
            raise Malformed(f"{type(error).__name__}: {str(error)[:100]}") from None
        self._soft = self._soft or answer.mass is not None
        if answer.detail == NO_PROBABILITIES and not self._soft:
            raise Stopped(self._no_probabilities(f"its reply was {self._secret.redact(answer.reply)[:80]!r}"))
        if answer.outcome in ("truncated", "unparsed") and _reasons(reply.content):
            why = "the model reasons before it answers; give it reasoning_tokens, or switch that off (see extra)"
            return answer._replace(detail=f"{answer.detail}: {why}")
        return answer

    def _no_probabilities(self, why: str) -> str:
        return (
            f"{self._settings.url} gives no probabilities of tokens for {self._settings.model!r} ({why}). Use a prompt "
            f"that reads the answer from the text, such as {self._prompt.shows + '-text'!r}."
        )

    def _server_of(self, content: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the model and the fingerprint that a reply names."""
        key = (content.get("model"), content.get("system_fingerprint"))
        if not all(value is None or isinstance(value, str) for value in key):
            return None
        if key not in self._served:
            if len(self._served) > 1000:  # a fingerprint per reply tells nothing
                return None
            names = tuple(clean(self._secret.redact((value or "")[:200])) for value in key)
            self._served[key] = (names[0], names[1]) if any(names) else None
        return self._served[key]

    def _write_heads(self) -> None:
        """Write everything of the requests up to their first turn."""
        last = len(self._prompt.turns) - 1
        system = f'{{"role":"system","content":{json.dumps(self._system)}}},' if self._system else ""
        self._fields = [self._head(turn, reads=i == last) for i, turn in enumerate(self._prompt.turns)]
        start = f'"messages":[{system if self._habits.system else ""}'
        self._heads = [f"{json.dumps(fields, separators=(',', ':'))[:-1]},{start}" for fields in self._fields]

    def _head(self, turn: Turn, *, reads: bool) -> dict[str, Any]:
        settings = self._settings
        body: dict[str, Any] = {
            "model": settings.model,
            "max_tokens": turn.max_tokens + settings.reasoning_tokens,
            "temperature": settings.temperature,
            **settings.extra,
        }
        if self._contents.videos:
            body |= _sampling(settings)
        if settings.seed is not None:
            body["seed"] = settings.seed
        if reads and self._prompt.answer == "logprobs":
            body |= {"logprobs": True, "top_logprobs": settings.top_logprobs}
        elif reads and settings.structured:
            body |= _structure(settings.structured, self._prompt.labels)
            if settings.structured == "json":
                body["max_tokens"] = max(body["max_tokens"], LEAST_JSON)
        return self._habits.write(body)


def _sampling(settings: OpenAI) -> dict[str, Any]:
    """Return the parameters of vLLM that say which frames of a video are looked at, and whether it is heard."""
    how = {"num_frames": settings.video_frames, "fps": settings.video_fps}
    how = {key: value for key, value in how.items() if value}
    processor = {key: value for key, value in how.items() if key == "fps"}
    processor |= {"use_audio_in_video": True} if settings.video_sound else {}
    found: dict[str, Any] = {"media_io_kwargs": {"video": how}} if how else {}
    return found | ({"mm_processor_kwargs": processor} if processor else {})


def _structure(how: str, labels: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that leave a server no other answer than a label."""
    if how == "choice":
        return {"structured_outputs": {"choice": list(labels)}, "guided_choice": list(labels)}
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(labels)}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    form = {"name": "odd_one_out", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


class _Template:
    """A turn whose text is JSON already, but for the items."""

    def __init__(self, turn: Turn, *, framed: bool) -> None:
        self._slots = turn.slots
        self._framed = framed
        if framed:
            self._pieces = [
                f'{{"type":"text","text":{json.dumps(piece)}}}' if piece.strip() else "" for piece in turn.pieces
            ]
        else:
            self._pieces = [json.dumps(piece)[1:-1] for piece in turn.pieces]

    def fill(self, shown: list[str], before: str = "") -> list[str]:
        """Write the turn with its items, in pieces; `before` is a system message for models that know none."""
        parts = [self._pieces[0]]
        for slot, piece in zip(self._slots, self._pieces[1:], strict=True):
            parts += [shown[slot], piece]
        if before:
            written = json.dumps(f"{before}\n\n")
            parts.insert(0, f'{{"type":"text","text":{written}}}' if self._framed else written[1:-1])
        if not self._framed:
            return ['"', *parts, '"']
        listed = ["["]
        for part in filter(None, parts):
            listed += [part, ","]
        return [*listed[:-1], "]"]


class _Shown:
    """Contents as pieces of JSON; frames are kept up to a limit, the latest used longest."""

    def __init__(self, contents: Contents, media: str) -> None:
        self._contents, self._media = contents, media
        self._kept: OrderedDict[int, str] = OrderedDict()
        self._size = 0
        self._texts = [json.dumps(text)[1:-1] for text in contents.texts]

    def __call__(self, content: int) -> str:
        images = self._contents.images[content]
        if not images:
            return self._texts[content]
        if content in self._kept:
            self._kept.move_to_end(content)
            return self._kept[content]
        if self._contents.videos:
            text = _media(self._contents.videos[content], "video", self._media)
        else:
            text = ",".join(_media(path, "image", self._media) for path in images)
        self._kept[content] = text
        self._size += len(text)
        while self._size > CACHED_CHARACTERS and len(self._kept) > 3:
            self._size -= len(self._kept.popitem(last=False)[1])
        return text


def _media(path: Path, kind: str, how: str) -> str:
    """Write a picture or a video as a part of a message."""
    if how == "file":
        address = path.resolve().as_uri()
    else:
        if path.stat().st_size > MOST_CLIP:
            raise DataError(
                f"{path}: {path.stat().st_size / 1e6:,.0f} MB are too much for a request. Use shorter clips, or "
                f'media = "file" with a server on this machine.'
            )
        form = mimetypes.guess_type(path.name)[0] or f"{kind}/{'mp4' if kind == 'video' else 'jpeg'}"
        address = f"data:{form};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    return f'{{"type":"{kind}_url","{kind}_url":{{"url":{json.dumps(address)}}}}}'


def _first_message(reply: Reply) -> str | None:
    """Return the text of a reply that is not the last, or None if there is no going on from it."""
    choice = first_choice(reply.content)
    declined = choice["message"].get("refusal") or choice.get("finish_reason") == "content_filter"
    text = strip_reasoning(text_of(choice["message"].get("content")))
    return None if declined or not text.strip() else text


def _reasons(content: Mapping[str, Any]) -> bool:
    """Whether a model reasoned before it answered."""
    message = first_choice(content)["message"]
    usage = content.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    counted = details.get("reasoning_tokens") if isinstance(details, dict) else 0
    text = message.get("content")
    return bool(
        message.get("reasoning_content") or message.get("reasoning") or counted
        or (isinstance(text, str) and text.lstrip().lower().startswith(("<think", "[think]")))
    )  # fmt: skip


def _usage(content: Mapping[str, Any]) -> list[int]:
    """Read how many tokens went in, how many of them the server had already, and how many came out."""
    usage = content.get("usage")
    if usage is None:
        return [0, 0, 0]
    if not isinstance(usage, dict):
        raise Malformed(f"its usage is of type {type(usage).__name__}")
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    counts = [usage.get("prompt_tokens"), cached, usage.get("completion_tokens")]
    found = [_count(count) for count in counts]
    return [found[0], min(found[1], found[0]), found[2]]


def _count(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        raise Malformed(f"{str(value)[:40]!r} is no number of tokens")
    return int(value)


def _excerpt(content: Mapping[str, Any]) -> str:
    try:
        return clean(json.dumps(content, ensure_ascii=False)[:EXCERPT])
    except (ValueError, RecursionError):
        return ""
