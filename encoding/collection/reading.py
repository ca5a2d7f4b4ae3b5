"""From a reply to a choice, or to a reason why there is none. Nothing is guessed."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .prompts import Prompt
from .trials import Answer

# Beginnings with which models decline. A reply that also holds a choice counts as a choice all the same.
REFUSALS = re.compile(
    r"^\W*(i'?m sorry|sorry\b|i (can ?no|can')t|i am (unable|not able)|i'm (unable|not able)|i (will|wo) ?n[o']t"
    r"|i must decline|i apologi[sz]e|as an ai\b|unfortunately,? i)",
    re.IGNORECASE,
)
EDGES = " \t\r\n\"'`*_.,:;!()[]<>\u2581\u0120\u010a"


def read_reply(reply: Mapping[str, Any], prompt: Prompt, least_mass: float) -> Answer:
    """Read the last reply of a trial.

    Parameters
    ----------
    reply : mapping
        A chat completion, decoded from JSON.
    prompt : Prompt
        What was asked; it says how the answer is read.
    least_mass : float
        Probability that the labels must have together, if it is read from probabilities.

    Returns
    -------
    Answer
        With outcome, choice and reply; tokens and times are for others to fill in.

    Raises
    ------
    KeyError, IndexError, TypeError
        If it is no chat completion.
    """
    choice = reply["choices"][0]
    message = choice["message"]
    text = message.get("content") or ""
    finish = choice.get("finish_reason") or ""
    if message.get("refusal") or finish == "content_filter":
        return Answer("refused", reply=message.get("refusal") or text, detail=finish or "refusal")
    if prompt.answer == "logprobs":
        first = (choice.get("logprobs") or {}).get("content") or []
        if not first:
            return _without(text, "the server gave no probabilities of tokens")
        return read_logprobs(first[0].get("top_logprobs") or [first[0]], prompt.labels, text, least_mass)
    return read_text(text, prompt, cut=finish == "length")


def read_logprobs(tokens: Sequence[Mapping[str, Any]], labels: Sequence[str], text: str, least_mass: float) -> Answer:
    """Turn the probabilities of the first token into probabilities of the three slots.

    Parameters
    ----------
    tokens : sequence of mapping
        Most likely tokens, each with "token" and "logprob".
    labels : sequence of str
        Labels of the three slots; a token counts for one if it is the label, but for case, spaces and punctuation.
    text : str
        The reply as it came.
    least_mass : float
        Probability that the labels must have together.

    Returns
    -------
    Answer
        Unparsed if the labels are too unlikely, or two of them share the first place.
    """
    mass = [0.0, 0.0, 0.0]
    names = [label.casefold() for label in labels]
    for token in tokens:
        word = str(token["token"]).strip(EDGES).casefold()
        if word in names and math.isfinite(token["logprob"]):
            mass[names.index(word)] += math.exp(token["logprob"])
    total = sum(mass)
    if total < least_mass or total <= 0:
        answer = _without(text, f"the labels have a probability of {total:.3f}; {least_mass} was needed")
        return answer._replace(mass=total)
    probabilities = (mass[0] / total, mass[1] / total, mass[2] / total)
    best = max(probabilities)
    if probabilities.count(best) > 1:
        return Answer("unparsed", probabilities=probabilities, mass=total, reply=text, detail="two labels are equal")
    return Answer("valid", probabilities.index(best), probabilities, total, text)


def read_text(text: str, prompt: Prompt, *, cut: bool) -> Answer:
    """Find the choice in a text.

    Parameters
    ----------
    text : str
        The reply.
    prompt : Prompt
        Labels, and for a sentence its pattern.
    cut : bool
        Whether the reply was cut off for its length.

    Returns
    -------
    Answer
        Valid only if one label is named and no other; a text that was cut off counts only if the label is all of it.
    """
    names = [label.casefold() for label in prompt.labels]
    whole = text.strip(EDGES).casefold()
    if prompt.answer == "letter" and whole in names:
        return Answer("valid", names.index(whole), reply=text)
    if cut:
        return Answer("truncated", reply=text, detail="the reply was cut off before it ended")
    pattern = prompt.sentence or rf"\banswer(?:\s+is)?\s*:?\s*\W?({'|'.join(map(re.escape, prompt.labels))})\b"
    found = {match.casefold() for match in re.findall(pattern, text, re.IGNORECASE)}
    if len(found) == 1:
        return Answer("valid", names.index(found.pop()), reply=text)
    if found:
        return Answer("unparsed", reply=text, detail=f"{len(found)} different answers in one reply")
    return _without(text, "no answer of the form that was asked for")


def _without(text: str, why: str) -> Answer:
    """Tell a refusal from a reply of another form."""
    if REFUSALS.match(text.replace("\u2019", "'")):
        return Answer("refused", reply=text, detail="declined in words")
    return Answer("unparsed", reply=text, detail=why)
