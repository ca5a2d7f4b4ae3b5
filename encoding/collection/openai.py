"""Any server that speaks the chat API of OpenAI: vLLM, SGLang, llama.cpp, Ollama, or a vendor."""

import base64
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from ..core import ConfigError
from ..core.settings import NotNegative, Positive, Probability, Text, settings
from .client import Client, Failed, Reply, check_url
from .concurrency import Gate
from .contents import Contents
from .prompts import Prompt, Turn, load_prompt
from .reading import read_reply
from .secrets import Secret
from .trials import Answer, Ledger, Stopped, Trial

PATH = "/chat/completions"
RESERVED = ("model", "messages", "max_tokens", "temperature", "seed", "logprobs", "top_logprobs", "stream", "n")
CACHED_CHARACTERS = 1 << 30  # of frames that are kept ready to be sent


@settings("[[annotator]]")
class OpenAI:
    """A model behind a chat API."""

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
    """Number of tokens whose probability is asked for."""
    least_mass: Probability = 0.1
    """Probability that the three labels must have together for an answer to be valid."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of the request, for instance ``{ chat_template_kwargs = { enable_thinking = false } }``."""
    key_variable: str = ""
    """Environment variable that holds the key; "" if the server needs none."""
    concurrency: Annotated[int, Interval(ge=1, le=100_000)] = 64
    """Largest number of requests under way; the actual number adapts to the server."""
    per_minute: NotNegative = 0.0
    """Largest number of requests per minute; 0 for any number."""
    timeout: Positive = 120.0
    """Seconds for one request."""
    tries: Annotated[int, Interval(ge=1, le=1000)] = 6
    """How many times a request is sent at most."""

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
    """An annotator behind a chat API.

    Parameters
    ----------
    settings : OpenAI
        Where and how to ask.
    prompt : Prompt
        What to ask.
    contents : Contents
        What to show.

    Attributes
    ----------
    name, batch, concurrency
        As in `Annotator`.

    Raises
    ------
    ConfigError
        If the prompt shows captions and there are none, or frames and there are none.
    """

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
        self._secret = Secret(settings.key_variable, needed=bool(settings.key_variable))
        self._shown = _Shown(contents)
        self._turns = [_Template(turn, framed=prompt.shows == "frames") for turn in prompt.turns]
        last = len(prompt.turns) - 1
        self._heads = [self._head(turn, reads=i == last) for i, turn in enumerate(prompt.turns)]
        self._client: Client | None = None

    @property
    def fixed_characters(self) -> int:
        """Characters before the first item: the same in all trials."""
        return len(self._prompt.system) + len(self._prompt.turns[0].pieces[0])

    def identity(self) -> dict[str, Any]:
        """List everything that shapes the answers; the address does not.

        Returns
        -------
        dict
            JSON.
        """
        names = ("model", "temperature", "seed", "top_logprobs", "least_mass")
        settings = {name: getattr(self._settings, name) for name in names}
        return {
            "kind": "openai",
            **settings,
            "extra": dict(self._settings.extra),
            "prompt": self._prompt.name,
            "prompt_hash": self._prompt.digest,
        }

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[dict[str, Any]]:
        """Connect, and find out what the server says about itself.

        Yields
        ------
        dict
            "server", "models", "version", as far as it tells.
        """
        settings = self._settings
        gate = Gate(settings.concurrency, settings.per_minute)
        client = Client(settings.url, self._secret, gate, timeout=settings.timeout, tries=settings.tries)
        async with client:
            models, server = await client.get("/models")
            version, _ = await client.get("/../version")
            self._client = client
            listed = models.get("data") if isinstance(models, dict) else None
            names = [str(entry.get("id")) for entry in listed or [] if isinstance(entry, dict)]
            try:
                yield {
                    "url": settings.url,
                    "server": server,
                    "models": names[:20],
                    "version": version.get("version", "") if isinstance(version, dict) else "",
                }
            finally:
                self._client = None

    async def ask(self, trials: Sequence[Trial], ledger: Ledger) -> list[Answer]:
        """Answer one trial after the other.

        Parameters
        ----------
        trials : sequence of Trial
            Questions; usually one.
        ledger : Ledger
            Is told before every request.

        Returns
        -------
        list of Answer
            One each.
        """
        return [await self._ask(trial, ledger) for trial in trials]

    async def _ask(self, trial: Trial, ledger: Ledger) -> Answer:
        assert self._client is not None
        messages: list[str] = []
        if self._prompt.system:
            messages.append(_message("system", json.dumps(self._prompt.system)))
        tries, used = 0, [0, 0, 0]
        reply = None
        for head, template in zip(self._heads, self._turns, strict=True):
            if reply is not None:
                said = _first_message(reply)
                if said is None:  # refused or cut off before the question was put
                    break
                messages.append(_message("assistant", json.dumps(said)))
            messages.append(_message("user", template.fill([self._shown(content) for content in trial.shown])))
            body = f'{head}"messages":[{",".join(messages)}]}}'.encode()
            try:
                reply = await self._client.post(PATH, body, ledger)
            except Failed as error:
                outcome = "refused" if error.refused else "error"
                return Answer(outcome, detail=str(error), tokens_in=used[0], tokens_cached=used[1],
                              tokens_out=used[2], tries=tries + error.tries)  # fmt: skip
            tries += reply.tries
            used = [a + b for a, b in zip(used, _usage(reply.content), strict=True)]
        assert reply is not None
        answer = self._read(reply)
        return answer._replace(
            reply=self._secret.redact(answer.reply), tokens_in=used[0], tokens_cached=used[1], tokens_out=used[2],
            tries=tries, latency=reply.latency,
        )  # fmt: skip

    def _read(self, reply: Reply) -> Answer:
        try:
            answer = read_reply(reply.content, self._prompt, self._settings.least_mass)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            return Answer("error", detail=f"the reply is no chat completion ({type(error).__name__}: {error})")
        if self._prompt.answer == "logprobs" and answer.detail == "the server gave no probabilities of tokens":
            raise Stopped(
                f"{self._settings.url} gives no probabilities of tokens for {self._settings.model!r}. Use a prompt "
                f"that reads the answer from the text, such as {self._prompt.shows + '-text'!r}."
            )
        return answer

    def _head(self, turn: Turn, *, reads: bool) -> str:
        """Write everything of a request but its messages."""
        settings = self._settings
        body: dict[str, Any] = {
            "model": settings.model,
            "max_tokens": turn.max_tokens,
            "temperature": settings.temperature,
            **settings.extra,
        }
        if settings.seed is not None:
            body["seed"] = settings.seed
        if reads and self._prompt.answer == "logprobs":
            body |= {"logprobs": True, "top_logprobs": settings.top_logprobs}
        return json.dumps(body, separators=(",", ":"))[:-1] + ","


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

    def fill(self, shown: list[str]) -> str:
        parts = [self._pieces[0]]
        for slot, piece in zip(self._slots, self._pieces[1:], strict=True):
            parts += [shown[slot], piece]
        if self._framed:
            return f"[{','.join(part for part in parts if part)}]"
        return f'"{"".join(parts)}"'


class _Shown:
    """Contents as pieces of JSON; frames are kept up to a limit, the latest used longest."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._kept: OrderedDict[int, str] = OrderedDict()
        self._size = 0

    def __call__(self, content: int) -> str:
        images = self._contents.images[content]
        if not images:
            return json.dumps(self._contents.texts[content])[1:-1]
        if content in self._kept:
            self._kept.move_to_end(content)
            return self._kept[content]
        text = ",".join(_image(path) for path in images)
        self._kept[content] = text
        self._size += len(text)
        while self._size > CACHED_CHARACTERS and len(self._kept) > 3:
            self._size -= len(self._kept.popitem(last=False)[1])
        return text


def _image(path: Path) -> str:
    kind = "png" if path.suffix == ".png" else "jpeg"
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'{{"type":"image_url","image_url":{{"url":"data:image/{kind};base64,{data}"}}}}'


def _message(role: str, content: str) -> str:
    return f'{{"role":"{role}","content":{content}}}'


def _first_message(reply: Reply) -> str | None:
    """Take the text of a reply that is not the last, or None if there is no going on from it."""
    try:
        choice = reply.content["choices"][0]
        text = choice["message"].get("content")
        declined = choice["message"].get("refusal") or choice.get("finish_reason") == "content_filter"
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    return None if declined or not isinstance(text, str) else text


def _usage(content: Mapping[str, Any]) -> list[int]:
    """Read how many tokens went in, how many of them the server had already, and how many came out."""
    usage = content.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    counts = (usage.get("prompt_tokens"), details.get("cached_tokens"), usage.get("completion_tokens"))
    return [int(count) if isinstance(count, int | float) else 0 for count in counts]
