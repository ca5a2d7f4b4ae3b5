"""From a reply to a choice, or to a reason why there is none. Nothing is guessed."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from .prompts import Prompt
from .trials import Answer

# Beginnings with which models decline. A reply that also holds a choice counts as a choice all the same.
REFUSALS = re.compile(
    r"^\W*(i'?m sorry|sorry\b|i (can ?no|can')t(?! (decide|choose|tell)\b)|i am (unable|not able)|i'm (unable|not able)"
    r"|i (will|wo) ?n[o']t"
    r"|i must decline|i apologi[sz]e|as an ai\b|unfortunately,? i)",
    re.IGNORECASE,
)
# Other ways to write the same: full-width letters, typographic quotation marks, and what cannot be seen.
SAME: dict[int, int | str | None] = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
SAME |= dict.fromkeys((0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F)))
SAME |= {
    ord(a): b
    for a, b in zip(
        "\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d\u2018\u2019\u3002\u3001\u00a0", '"""""""\'\'., ', strict=True
    )
}
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
CHANNEL = re.compile(r"</?s>|<br\s*/?>|\[/?INST\]|<end_of_turn>|<eos>|<\|start\|>assistant|<\|[a-z_]+\|>(?:final)?")
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
# What sounds like doubt and is none; taken out before doubt is looked for.
SURE = re.compile(
    r"\b(?:(?:no|without|beyond|little|not|never)(?: an?y?)?(?: shadow of a| reasonable)? doubt(?:ing)?"
    r"|doubtless|don't doubt|not (?:surprising|unexpected)(?:ly)?|not (?:hard|difficult) to (?:see|tell)|if anything"
    r"|unless i am (?:wrong|mistaken)"
    r"|if i (?:had|have|were|was|must)(?: to)? (?:pick|choose|select|say|answer|decide|guess))\b",
    re.IGNORECASE,
)
NEGATED = (
    r"(?:\b(?:not|never|neither|nor|nobody|no one|none|cannot|either|might|may|could)\b|n't\b"
    r"|\bno (?=way|reason|chance|evidence|indication|sign|proof|guarantee|means|case|sense))"
)
# Words before a statement, in the same clause, of which it is what is denied or supposed.
DOUBT = re.compile(
    r"\b(?:whether|unless|unlikely|doubt\w*|suppos\w+|assum\w+)\b"
    rf"|(?:{NEGATED}|\bif\b).*\b(?:that|whether|if|th(?:ink|ought)|believed?|sa(?:y|id)|claim(?:ed)?|argued?|kn[eo]w|tell|told"
    r"|means?|meant|conclude[ds]?|suggest(?:s|ed)?|impl(?:y|ies|ied)|agreed?)\b"
    # directly before it, or with nothing between but what belongs to its subject
    rf"|{NEGATED}(?:.*\b(?:not|never|nor|or|either|certain|sure|clear|true|correct|right|obvious|convinced|evident|likely|apparent"
    r"|way|reason|chance|evidence|indication|sign|case|means|be|is|to|in|of|on|for|with|from|option|video|choice|item|clip"
    r"|caption|letter|label))?\W*$"
    r"|\bif\b\W*(?:(?:the|an?|this|that|only|even|really|in)\W+)*(?:[\w-]+\W+)?$"
    r"|\bif\b(?!\s+i\b).*\bwere\b|\bif\b.*\band\W*$",
    re.IGNORECASE | re.DOTALL,
)
LONGEST_CLAUSE = 300  # characters before a statement that are looked at
CLAUSE = re.compile(
    r"[.;:!?\n,\u2013\u2014]|\s-\s|\b(?:but|so|then|therefore|thus|hence|because|since)\b", re.IGNORECASE
)
ARTICLE = re.compile(r"\b(?:the|my|our|an?)\s+(?:[\w-]+\s+)?\W*$", re.IGNORECASE)
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
    if len(choices) > 1:
        texts = [(other.get("message") or {}).get("content") if isinstance(other, dict) else None for other in choices]
        if any(text != texts[0] for text in texts):
            raise Malformed(f"it holds {len(choices)} different choices, and one was asked for")
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
    if not said.isascii():
        said = said.translate(SAME)
    whole = said.strip(EDGES)
    names = [label.casefold() for label in prompt.labels]
    # The same letter in lower case may be the first word of a text that was cut off.
    if prompt.answer == "letter" and (whole in prompt.labels if cut else whole.casefold() in names):
        return Answer("valid", names.index(whole.casefold()), reply=text)
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
    patterns = _patterns(prompt.labels)
    if prompt.sentence:
        pattern = re.compile(prompt.sentence, re.IGNORECASE)
        return _last(said, _firm(said, pattern, prompt.labels)), missing
    said = patterns.choices.sub("", said)
    found = _firm(said, patterns.statement, prompt.labels)
    fields = _firm(said, patterns.field, prompt.labels)
    found += fields if len({slot for _, slot in fields} - {-1}) == 1 else []
    found += [(place, slot) for place, slot in _in_json(said, prompt.labels)]
    slots = _last(said, found)
    place = max((place for place, slot in found if slot >= 0), default=0)
    if not slots:
        # A line that begins with a label, as in "C) the dog": one such label only, since a list of all is no answer.
        begun = [(m.start(), _slot(_label(m), prompt.labels)) for m in patterns.line.finditer(said)]
        slots = {slot for _, slot in begun} - {-1}
        both = [patterns.other.match(said, m.end(m.lastindex or 0)) for m in patterns.line.finditer(said)]
        slots |= {_slot(_label(other), prompt.labels) for other in both if other}
        if len(slots) != 1:
            return set(), missing
        place = begun[-1][0]
        rest = ASIDE.sub("", said[place:].split("\n", 1)[0])
        if {_slot(_label(m), prompt.labels) for m in patterns.listed.finditer(rest)} - slots - {-1}:
            return set(), "several answers in one line"
    for after in SECOND_THOUGHTS.finditer(said, place + 1):
        word = patterns.alone.match(AGAIN.sub("", after["rest"]))
        if word and _slot(word[1], prompt.labels) not in (*slots, -1):
            return set(), "an answer that is taken back"
    return slots, missing


def _label(match: re.Match[str]) -> str:
    return next(filter(None, match.groups()))


def _firm(said: str, pattern: re.Pattern[str], labels: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return place and slot of statements, of both where one names two, and of none where it is denied or supposed."""
    patterns, found = _patterns(labels), []
    for match in pattern.finditer(said):
        start = match.start()
        group = next(number for number, word in enumerate(match.groups(), start=1) if word)
        first = max(0, start - LONGEST_CLAUSE)
        first = max((m.end() for m in CLAUSE.finditer(said, first, start)), default=first)
        clause = said[first:start]
        if _doubted(clause, match[0], match[group], patterns):
            continue
        found.append((start, _slot(match[group], labels)))
        before = patterns.paired.search(clause)
        after = patterns.other.match(said, match.end(group)) or patterns.other.match(said, match.end())
        found += [(start, _slot(_label(other), labels)) for other in (before, after) if other]
    return found


def _doubted(clause: str, statement: str, word: str, patterns: "_Patterns") -> bool:
    """Return whether what precedes a statement in its clause denies or supposes it."""
    clause = SURE.sub(" ", clause)
    if re.match(rf"\W*(?:(?:option|video|choice|item|clip|caption)\W*)?{re.escape(word)}\b", statement, re.IGNORECASE):
        if clause.rstrip().endswith("(") and re.search(rf"{NEGATED}|\bif\b", clause, re.IGNORECASE):
            return True  # "I don't think the dog (B) is odd"
        tail = re.split(r"\b(?:nor|or)\b", clause)  # a second subject, as in "neither A nor the dog of B"
        if len(tail) > 1 and re.search(r"\bn?either\b", clause, re.IGNORECASE) and not patterns.alone.search(tail[-1]):
            return True
    else:
        clause = ARTICLE.sub("", clause)
    return bool(DOUBT.search(clause))


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
def _patterns(labels: tuple[str, ...]) -> "_Patterns":
    """Compile the forms of answers for some labels."""
    one = "|".join(map(re.escape, sorted(labels, key=len, reverse=True)))
    mark = r"[\s*_\"'`(\[{$]*"
    ended = r"(?![\w]|['\u2019]\w)"  # not the beginning of a word, nor of "A's"
    label = rf"{mark}(?:(?:option|video|choice|item|clip|caption|letter|label)\s+{mark})?({one})"
    # What may follow: the end, punctuation, or a reason. Not a noun, of which "A" would be the article.
    # And no second label, as in "A, B".
    end = (
        rf"{ended}(?![*_\"'`)\]}}$]*\s*(?:[,/&]|\band\b|\bor\b)\s*(?:and\s+|or\s+)?{mark}(?:{one}){ended})"
        r"(?=\)\s|[*_\"'`)\]}$]*(?:</\w+>)?[*_]*\s*"
        r"(?:$|[.,;:!\n(\u2013\u2014-]|because\b|since\b|as\b|is\b|stands\b|does\b|over\b|rather\b|instead\b|\\))"
    )
    odd = r"(?:odd(?:[ -](?:one|man))?(?:[ -]out)?|outlier|different one|one that (?:does not|doesn't) (?:fit|belong))"
    verb = r"(?:\s+(?:is|are|would be|must be|should be)|\s*[:=])?\s*:?"
    # Words with which a name in brackets is that of another, or of none.
    compared = (
        "not|neither|nor|either|or|no|unlike|like|from|than|that|which|who|hard|tell|same|similar|and|between|to|without|before"
        "|after|opposite|unrelated|different|differs|differing|against|except|besides|other|others|rest|versus|vs|compared|but"
    )
    before = (
        f"{compared}|about|above|across|around|as|at|behind|below|beside|by|during|for|in|inside|into|near|of|off|on|opposed"
        "|outside|over|past|through|toward|towards|under|until|upon|via|while|with|within|the|an?"
    )
    statement = (
        rf"(?i:\b(?:final\s+|correct\s+|my\s+)*(?:answer|choice){mark[:-1]}*{verb}){_sensitive(label)}{end}"
        rf"|(?i:\b{odd}{mark[:-1]}*(?:\s+(?:is|would be|must be)|\s*[:=])\s*:?){_sensitive(label)}{end}"
        rf"|(?i:\bi(?:'d|'ll| would| will)?\s+(?:choose|pick|select|go with|say)){_sensitive(label)}{end}"
        rf"|\b({one})[*_\"'`)\]]*\s+(?i:is|seems|stands|would be|must be)"
        rf"\s+(?i:the\s+|clearly\s+|an?\s+|my\s+|final\s+)*"
        rf"(?i:{odd}|apart\b|out\b|answer\b|choice\b)"
        rf"|\b({one})[*_\"'`)\]]*\s+(?i:does not|doesn't)\s+(?i:fit|belong)(?:\s+(?i:in))?(?=[*_]*\s*(?:$|[.,;!\n]))"
        rf"|(?i:\b{odd}\s+is\s+(?:the|an?)\s+)(?:(?i:(?!(?:{compared})\b)[\w'-]+)\s+){{0,6}}(?i:(?!(?:{before})\b)[\w'-]+)\s+"
        rf"\((?i:option\s+|video\s+)?({one})\)"
        rf"(?=[*_]*\s*(?:$|[.,;!\n]|because\b|since\b|as\b))"
        rf"|(?i:\bfinal\s*[:=]){_sensitive(label)}{end}"
        rf"|(?i:<answer>){_sensitive(label)}[^<]*(?i:</answer>)"
        rf"|\\boxed\{{\s*(?:\\(?:text|mathrm|mathbf|textbf)\{{\s*)?\(?({one})\)?\s*\}}"
    )
    field = (
        rf"(?i:\b(?:response|selection|selected|letter|pick|vote|output|result|label){mark[:-1]}*[:=]){_sensitive(label)}{end}"
        rf"(?![*_\"'`)\]]*\s*[\u2013\u2014-]\s*{mark}(?:{one}){ended})"
    )
    noun = r"(?:(?i:option|video|choice|item|clip|caption|letter|label)\s+)"
    line = (
        rf"^[\s*_>#\"'`]*[(\[]?({one})[)\].:][*_\"'`]*(?=\s|$)"
        rf"|^[\s*_>#\"'`]*({one})[*_\"'`)\]]*(?:,?\s+|\s*\()not\s+(?:{one})(?:\s+n?or\s+(?:{one}))?[*_).!]*\s*$"
        rf"|^\W*(?i:it\s+is|it's|i\s+think(?:\s+it\s+is|\s+it's)?){label}(?=[*_\"'`)]*[.!]*\s*(?:$|\n|,?\s+(?:because|since)\b))"
        rf"|^<(?:b|strong|p)>\s*({one})\s*</"
        rf"|^[\s*_>#\"'`]*{noun}[*_\"'`(]*({one}){ended}(?=[)*_\"'`]*\s*(?:$|[.,;:!\n(\u2013\u2014-]))"
        rf"|^[\s>#]*\*\*[(]?({one})[)]?[.:]?\*\*"
        rf"|^[\s>#]*[*_\"'`(\[]*({one})[*_\"'`)\]]*\s*(?:[\u2013-]\s|\u2014|,?\s*because\b|,?\s*since\b|$)"
    )
    listed = rf"[(\[]?({one})[)\]:](?=\s|$)|[.;]\s*{noun}?({one})(?=[.;]|$)"
    listed += rf"|^\W*(?:{one})\W*\s\W*or\s+{mark}({one})(?![\w'\u2019])"
    hedge = r"(?:else|maybe|perhaps|possibly|even|also|less likely|alternatively|the)"
    other = (
        rf"[*_\"'`)\]}}$]*(?:\s*\([^()\n]{{1,80}}\))?[\s,;(\u2013\u2014-]*\b(?i:or|alternatively|perhaps|maybe|possibly)\b"
        rf"[\s,]*(?i:{hedge}[\s,]+)*{label}{ended}"
        # in a sentence of its own, which may be about something else: "Perhaps A and B are pets."
        rf"|[*_\"'`)\]}}$]*[\s,;(.!\u2026\u2013\u2014-]*\b(?i:or|alternatively|perhaps|maybe|possibly)\b"
        rf"[\s,]*(?i:{hedge}[\s,]+)*{label}{ended}(?!['\u2019*_\"`)]*,?\s+(?:and|or)\b)"
        rf"|[).:\]]+\s*({one})\W*(?:$|\n)"
    )
    return _Patterns(
        re.compile(statement), re.compile(field), re.compile(line, re.MULTILINE), re.compile(listed),
        re.compile(rf"(?<![\w'\u2019])({one})(?![\w'\u2019])"), re.compile(other),
        re.compile(rf"\b({one})\W*(?:\bor|\bnor|\band|/|&)\s*\W*$"),
        re.compile(rf"\(\s*(?:(?:{one})\s*(?:,\s*or\b|,|/|\bor\b)\s*){{2}}(?:{one})\s*\)(?=\s*[*_]*\s*:)"),
    )  # fmt: skip


class _Patterns(NamedTuple):
    statement: re.Pattern[str]  # states an answer
    field: re.Pattern[str]  # a label after the name of a field, "Response: C", as which lists are written too
    line: re.Pattern[str]  # a line that begins with a label
    listed: re.Pattern[str]  # a label among others
    alone: re.Pattern[str]  # any label
    other: re.Pattern[str]  # what follows a label where another is an answer as well
    paired: re.Pattern[str]  # what precedes a label that is the second of two
    choices: re.Pattern[str]  # the question of a prompt, repeated: "(A, B or C):"


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
