"""From a reply to a choice, or to a reason why there is none. Nothing is guessed."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
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
# Blocks in which models reason before they answer; one that is not closed runs to the end.
REASONING = re.compile(
    r"<(think|thinking|thought|reasoning|analysis|reflection)\b[^>]*>.*?(?:</\1\s*>|\Z)"
    r"|\[THINK\].*?(?:\[/THINK\]|\Z)"
    r"|\u25c1think\u25b7.*?(?:\u25c1/think\u25b7|\Z)"
    r"|<\|channel\|>(?:analysis|commentary).*?(?:<\|end\|>|(?=<\|channel\|>final)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
# Templates that open the block themselves leave only its end in the reply.
REASONED = re.compile(r"\A.*(?:</(?:think|thinking|thought|reasoning)\s*>|\[/THINK\]|\u25c1/think\u25b7)", re.I | re.S)
CHANNEL = re.compile(r"</s>|<end_of_turn>|<eos>|<\|start\|>assistant|<\|[a-z_]+\|>(?:final)?")
DECLINED = {"content_filter", "refusal", "safety", "recitation", "prohibited_content", "blocklist", "spii", "sensitive"}
KEYS = {"answer", "choice", "odd", "odd_one_out", "odd_one", "label", "letter", "option", "video", "response", "result"}
MOST_MASS = 1.001  # above this the numbers are no probabilities
LONGEST = 100_000  # characters of a reply that are searched and kept
# Words at the start of a sentence with which a model takes back what it said before, and what follows them at once.
SECOND_THOUGHTS = re.compile(
    r"(?:(?<=[.!?;:\n])|(?<=[.!?;:]\s)|(?<=\n\s))(?:but\s+)?"
    r"(?:(?:wait|actually|correction|scratch that|on second thoughts?|let me (?:re|think)\w*|hmm+|no)\b"
    r"[\s,.;:!\u2014\u2013-]*)+(?P<rest>[^.!?\n]*)",
    re.IGNORECASE,
)
AGAIN = re.compile(
    r"\A(?:(?:the|my)\s+)?(?:answer|choice|odd(?:\s+one)?(?:\s+out)?)\s+(?:is|must be|should be)\s+", re.I
)
ASIDE = re.compile(r"\([^()]*\s[^()]*\)")  # its last label would look like one of a list


class Malformed(ValueError):  # noqa: N818
    """A reply that is no chat completion, or holds impossible numbers."""


def read_reply(reply: Mapping[str, Any], prompt: Prompt, least_mass: float) -> Answer:
    """Turn the last reply of a trial into an answer; raise `Malformed` if it is no completion."""
    choice = first_choice(reply)
    message = choice["message"]
    text = text_of(message.get("content"))
    finish = choice.get("finish_reason") or ""
    refusal = message.get("refusal")
    if refusal or (isinstance(finish, str) and finish.lower() in DECLINED):
        return Answer("refused", reply=text_of(refusal) if refusal else text, detail=str(finish)[:40] or "refusal")
    if prompt.answer == "logprobs":
        return _soft(choice.get("logprobs"), prompt.labels, text, least_mass)
    return read_text(text, prompt, cut=finish == "length")


def first_choice(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first choice of a completion, whose "message" is a mapping."""
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Malformed("it holds no list of choices")
    choice = choices[0]
    if not isinstance(choice.get("message"), dict):
        raise Malformed("its first choice holds no message")
    return choice


def text_of(content: Any) -> str:
    """Return the text of a message: a string, a list of parts, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return clean(content)
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise Malformed(f"the content of its message is of type {type(content).__name__}")
    parts = []
    for part in content:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict) and str(part.get("type", "text")) in ("text", "output_text", "refusal"):
            text = part.get("text", part.get("refusal", ""))
            text = text.get("value", "") if isinstance(text, dict) else text
            if not isinstance(text, str):
                raise Malformed("a part of its message holds no text")
            parts.append(text)
        elif not isinstance(part, dict):
            raise Malformed("the content of its message is no list of parts")
    return clean("".join(parts))


def clean(text: str) -> str:
    """Make a text that can be stored: no lone surrogates, and a bounded length."""
    if len(text) > LONGEST:
        text = text[:LONGEST]
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text


def _soft(logprobs: Any, labels: Sequence[str], text: str, least_mass: float) -> Answer:
    """Read the probabilities of the first token that is not white space."""
    if logprobs is None:
        return _without(text, NO_PROBABILITIES if text.strip() else "the reply is empty")
    content = logprobs.get("content") if isinstance(logprobs, dict) else logprobs
    if content is None or content == []:
        return _without(text, NO_PROBABILITIES if text.strip() else "the reply is empty")
    if not isinstance(content, list) or not all(isinstance(token, dict) for token in content[:8]):
        raise Malformed("its probabilities are no list of tokens")
    places = (token for token in content[:8] if str(token.get("token", "")).strip(" \t\r\n\u2581\u0120\u010a"))
    first = next(places, content[0])
    tokens = first.get("top_logprobs") or [first]
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        raise Malformed("its top_logprobs are no list of tokens")
    return read_logprobs(tokens, labels, text, least_mass)


NO_PROBABILITIES = "the server gave no probabilities of tokens"


def read_logprobs(tokens: Sequence[Mapping[str, Any]], labels: Sequence[str], text: str, least_mass: float) -> Answer:
    """Turn the probabilities of the first token into probabilities of the three slots."""
    mass = [0.0, 0.0, 0.0]
    names = [label.casefold() for label in labels]
    for token in tokens:
        word = str(token.get("token", "")).strip(EDGES).casefold()
        if word in names:
            mass[names.index(word)] += _probability(token.get("logprob"))
    total = sum(mass)
    if total > MOST_MASS:
        raise Malformed(f"the labels have a probability of {total:.4g} together, more than 1")
    if total < least_mass or total <= 0:
        answer = _without(text, f"the labels have a probability of {total:.3f}; {least_mass} was needed")
        return answer._replace(mass=total)
    probabilities = (mass[0] / total, mass[1] / total, mass[2] / total)
    best = max(probabilities)
    if probabilities.count(best) > 1:
        return Answer("unparsed", probabilities=probabilities, mass=total, reply=text, detail="two labels are equal")
    return Answer("valid", probabilities.index(best), probabilities, total, text)


def _probability(logprob: Any) -> float:
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or math.isnan(logprob) or logprob > 1e-3:
        raise Malformed(f"{str(logprob)[:40]!r} is no logarithm of a probability")
    return math.exp(min(logprob, 0.0)) if logprob > -1e4 else 0.0


def strip_reasoning(text: str) -> str:
    """Return a reply without what a model wrote while it reasoned."""
    if "<" not in text and "[" not in text and "\u25c1" not in text:
        return text
    text = REASONING.sub("", text)
    return CHANNEL.sub("", REASONED.sub("", text)).strip()


def read_text(text: str, prompt: Prompt, *, cut: bool) -> Answer:
    """Read the choice from a text: reasoning removed, last statement wins, cut texts only if all label."""
    said = strip_reasoning(text)
    whole = said.strip(EDGES).casefold()
    names = [label.casefold() for label in prompt.labels]
    if prompt.answer == "letter" and whole in names:
        return Answer("valid", names.index(whole), reply=text)
    if cut:
        return Answer("truncated", reply=text, detail="the reply was cut off before it ended")
    if not said:
        why = "the reply is empty" if not text.strip() else "the reply holds nothing but reasoning"
        return Answer("unparsed", reply=text, detail=why)
    slots, why = _stated(said, prompt)
    if len(slots) == 1:
        return Answer("valid", slots.pop(), reply=text)
    if slots:
        return Answer("unparsed", reply=text, detail=f"{len(slots)} different answers in one statement")
    answer = _without(said, why)
    return answer._replace(reply=text)


def _stated(said: str, prompt: Prompt) -> tuple[set[int], str]:
    """Return the slots that the last statement of an answer names."""
    missing = "no answer of the form that was asked for"
    if prompt.sentence:
        pattern = re.compile(prompt.sentence, re.IGNORECASE)
        return _last(said, [(m.start(), _slot(m[1], prompt.labels)) for m in pattern.finditer(said)]), missing
    statement, line, listed, alone = _patterns(prompt.labels)
    found = [(m.start(), _slot(next(filter(None, m.groups())), prompt.labels)) for m in statement.finditer(said)]
    found += [(place, slot) for place, slot in _in_json(said, prompt.labels)]
    slots = _last(said, found)
    place = max((place for place, slot in found if slot >= 0), default=0)
    if not slots:
        # A line that begins with a label, as in "C) the dog": one such label only, since a list of all is no answer.
        begun = [(m.start(), _slot(next(filter(None, m.groups())), prompt.labels)) for m in line.finditer(said)]
        slots = {slot for _, slot in begun} - {-1}
        if len(slots) != 1:
            return set(), missing
        place = begun[-1][0]
        rest = ASIDE.sub("", said[place:].split("\n", 1)[0])
        if {_slot(next(filter(None, m.groups())), prompt.labels) for m in listed.finditer(rest)} - slots - {-1}:
            return set(), "several answers in one line"
    for after in SECOND_THOUGHTS.finditer(said, place + 1):
        word = alone.match(AGAIN.sub("", after["rest"]))
        if word and _slot(word[1], prompt.labels) not in (*slots, -1):
            return set(), "an answer that is taken back"
    return slots, missing


def _last(said: str, found: list[tuple[int, int]]) -> set[int]:
    """Return the slots named in the last sentence that names any."""
    found = sorted(pair for pair in found if pair[1] >= 0)
    if not found:
        return set()
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s|$)|\n", said)]
    start = max((end for end in ends if end <= found[-1][0]), default=0)
    return {slot for place, slot in found if place >= start}


def _slot(word: str, labels: Sequence[str]) -> int:
    """Return the slot of a label; single letters must have their case, since "a" is a word."""
    for slot, label in enumerate(labels):
        if word == label or (len(label) > 1 and word.casefold() == label.casefold()):
            return slot
    return -1


@lru_cache(maxsize=64)
def _patterns(labels: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Compile what states an answer, begins a line with a label, lists a label among others, and any label."""
    one = "|".join(map(re.escape, sorted(labels, key=len, reverse=True)))
    mark = r"[\s*_\"'`(\[{]*"
    label = rf"{mark}(?:(?:option|video|choice|item|clip|caption|letter|label)\s+{mark})?({one})"
    # What may follow: the end, punctuation, or a reason. Not a noun, of which "A" would be the article.
    # And no second label, as in "A, B".
    end = (
        rf"(?![\w'\u2019])(?![*_\"'`)\]}}]*\s*(?:[,/&]|\band\b|\bor\b)\s*(?:and\s+|or\s+)?{mark}(?:{one})(?![\w'\u2019]))"
        r"(?=\)\s|[*_\"'`)\]}]*\s*"
        r"(?:$|[.,;:!\n(\u2013\u2014-]|because\b|since\b|as\b|is\b|stands\b|does\b|\\))"
    )
    odd = r"(?:odd(?:[ -](?:one|man))?(?:[ -]out)?|outlier|different one|one that (?:does not|doesn't) (?:fit|belong))"
    verb = r"(?:\s+(?:is|are|would be|must be|should be)|\s*[:=])?\s*:?"
    statement = (
        rf"(?i:\b(?:final\s+|correct\s+|my\s+)*(?:answer|choice){mark[:-1]}*{verb}){_sensitive(label)}{end}"
        rf"|(?i:\b{odd}{mark[:-1]}*(?:\s+(?:is|would be|must be)|\s*[:=])\s*:?){_sensitive(label)}{end}"
        rf"|(?i:\bi(?:'d|'ll| would| will)?\s+(?:choose|pick|select|go with|say)){_sensitive(label)}{end}"
        rf"|\b({one})[*_\"'`)\]]*\s+(?i:is|stands|would be|must be)\s+(?i:the\s+|clearly\s+|an?\s+)*"
        rf"(?i:{odd}|apart\b|out\b)"
        rf"|(?i:\bfinal\s*[:=]){_sensitive(label)}{end}"
        rf"|(?i:<answer>){_sensitive(label)}[^<]*(?i:</answer>)"
        rf"|\\boxed\{{\s*(?:\\(?:text|mathrm|mathbf|textbf)\{{\s*)?\(?({one})\)?\s*\}}"
    )
    noun = r"(?:(?i:option|video|choice|item|clip|caption|letter|label)\s+)"
    line = (
        rf"^[\s*_>#\"'`]*[(\[]?({one})[)\].:][*_\"'`]*(?=\s|$)"
        rf"|^[\s*_>#\"'`]*{noun}[*_\"'`(]*({one})(?![\w'\u2019])(?=[)*_\"'`]*\s*(?:$|[.,;:!\n(\u2013\u2014-]))"
        rf"|^[\s>#]*\*\*[(]?({one})[)]?[.:]?\*\*"
        rf"|^[\s>#]*[*_\"'`(\[]*({one})[*_\"'`)\]]*\s*(?:[\u2013\u2014-]\s|,?\s*because\b|,?\s*since\b|$)"
    )
    listed = rf"[(\[]?({one})[)\]:](?=\s|$)|[.;]\s*{noun}?({one})(?=[.;]|$)"
    listed += rf"|^\W*(?:{one})\W*\s\W*or\s+{mark}({one})(?![\w'\u2019])"
    return (
        re.compile(statement), re.compile(line, re.MULTILINE), re.compile(listed),
        re.compile(rf"(?<![\w'\u2019])({one})(?![\w'\u2019])"),
    )  # fmt: skip


def _sensitive(label: str) -> str:
    """Compile a pattern in which nouns match in any case and labels match exactly."""
    return label.replace("(?:option|", "(?i:option|")


def _in_json(said: str, labels: Sequence[str]) -> list[tuple[int, int]]:
    """Find answers in JSON objects, such as ``{"answer": "C"}``."""
    found = []
    for match in re.finditer(r"\{[^{}]{1,2000}\}", said):
        try:
            content = json.loads(match[0])
        except (ValueError, RecursionError):
            continue
        for key, value in content.items():
            if key.strip().casefold().replace(" ", "_") in KEYS and isinstance(value, str | int):
                found.append((match.start(), _slot(str(value).strip(EDGES), labels)))
    return found


def _without(text: str, why: str) -> Answer:
    """Return a refusal or an unparsed answer."""
    if REFUSALS.match(text.replace("\u2019", "'")):
        return Answer("refused", reply=text, detail="declined in words")
    return Answer("unparsed", reply=text, detail=why)
