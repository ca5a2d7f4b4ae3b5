"""Prompts: data files, each known by the hash of its bytes."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ...core import ConfigError, suggest

SLOTS = ("first", "second", "third")
SHOWS = ("captions", "frames")
ANSWERS = ("logprobs", "letter", "sentence")


@dataclass(frozen=True)
class Turn:
    """One message to the model."""

    pieces: tuple[str, ...]  # Text around the items
    slots: tuple[int, ...]  # Which item stands after each piece but the last
    max_tokens: int  # Longest reply


@dataclass(frozen=True)
class Prompt:
    """A prompt: the question, and how the answer is read.

    Attributes
    ----------
    name : str
        Name of the file.
    digest : str
        Hash of its content.
    about : str
        What it is for.
    shows : {"captions", "frames"}
        What stands for an item.
    answer : {"logprobs", "letter", "sentence"}
        Read from the probabilities of the first token, from a reply that is one label, or from a fixed sentence.
    labels : tuple of str
        What the three slots are called.
    sentence : str
        Pattern of the fixed sentence, with one group that is a label.
    system : str
        Message before all others; may be empty.
    turns : tuple of Turn
        Messages; the answer is in the reply to the last one.

    Examples
    --------
    >>> from encoding.collection import available_prompts, load_prompt
    >>> load_prompt(available_prompts()[0]).labels
    ('A', 'B', 'C')
    """

    name: str
    digest: str
    about: str
    shows: str
    answer: str
    labels: tuple[str, ...]
    sentence: str
    system: str
    turns: tuple[Turn, ...]


def available_prompts() -> tuple[str, ...]:
    """List the prompts shipped with the package.

    Returns
    -------
    tuple of str
        Names for `load_prompt`.

    Examples
    --------
    >>> from encoding.collection import available_prompts
    >>> available_prompts()
    ('captions-letter', 'captions-sentence', 'captions-text', 'frames-letter', 'frames-text', 'frames-two-turns')
    """
    names = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_prompt(name: str, base: str | Path = ".") -> Prompt:
    """Read a prompt.

    Parameters
    ----------
    name : str
        One that comes with the package, or a ``.toml`` file of your own.
    base : str or Path, optional
        Folder that a file is relative to.

    Returns
    -------
    Prompt
        Checked: every item is shown in some turn, and there is a way to read the answer.

    Raises
    ------
    ConfigError
        If there is no such prompt, or its file is not complete.

    Examples
    --------
    >>> from encoding.collection import load_prompt, available_prompts
    >>> load_prompt(available_prompts()[0]).answer
    'logprobs'
    """
    if name.endswith(".toml"):
        path = Path(base) / name
        if not path.is_file():
            raise ConfigError(f"Prompt {name!r}: no file {path}.")
        content = path.read_bytes()
    else:
        if name not in available_prompts():
            raise ConfigError(f"No prompt {name!r}. {suggest(name, available_prompts())} Or name a .toml file.")
        content = (files(__package__) / f"{name}.toml").read_bytes()
    return parse_prompt(name, content)


def parse_prompt(name: str, content: bytes) -> Prompt:
    """Read a prompt from the bytes of its file."""
    content = content.replace(b"\r\n", b"\n")
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"Prompt {name!r}: not valid TOML ({error}).") from error
    known = ("about", "shows", "answer", "labels", "sentence", "system", "turns")
    for key in table:
        if key not in known:
            raise ConfigError(f"Prompt {name!r}: unknown key {key!r}. {suggest(key, known)}")
    try:
        turns = tuple(_turn(name, turn) for turn in table["turns"])
        prompt = Prompt(
            name, hashlib.sha256(content).hexdigest(), table.get("about", ""), table["shows"], table["answer"],
            tuple(map(str, table["labels"])), table.get("sentence", ""), table.get("system", ""), turns,
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ConfigError(f"Prompt {name!r}: {error} is missing or of the wrong type.") from error
    _check(prompt)
    return prompt


def _turn(name: str, table: dict) -> Turn:
    parts = re.split(r"\{(\w+)\}", table["text"].strip("\n"))
    for word in parts[1::2]:
        if word not in SLOTS:
            raise ConfigError(f"Prompt {name!r}: {{{word}}} stands for nothing. {suggest(word, SLOTS)}")
    return Turn(tuple(parts[::2]), tuple(SLOTS.index(word) for word in parts[1::2]), int(table["max_tokens"]))


def _check(prompt: Prompt) -> None:
    where = f"Prompt {prompt.name!r}"
    if prompt.shows not in SHOWS or prompt.answer not in ANSWERS:
        raise ConfigError(
            f"{where}: shows = {prompt.shows!r}, answer = {prompt.answer!r}; known are {', '.join(SHOWS)}, and "
            f"{', '.join(ANSWERS)}."
        )
    shown = [slot for turn in prompt.turns for slot in turn.slots]
    if sorted(shown) != [0, 1, 2]:
        raise ConfigError(f"{where}: each of {{first}}, {{second}}, {{third}} must stand in it once.")
    if len(prompt.labels) != 3 or len({label.casefold() for label in prompt.labels}) != 3:
        raise ConfigError(f"{where}: labels = {list(prompt.labels)}, but three different ones are needed.")
    if (prompt.answer == "sentence") != bool(prompt.sentence) or re.compile(prompt.sentence or "()").groups != 1:
        raise ConfigError(f'{where}: answer = "sentence" needs a pattern `sentence` with one group, and only that.')
    if min(turn.max_tokens for turn in prompt.turns) < 1:
        raise ConfigError(f"{where}: max_tokens must be 1 or more in every turn.")
