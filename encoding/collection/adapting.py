"""What a server or model does not take, learned from what it says about a request, and left out from then on."""

import re
from typing import Any

# Models that refuse `max_tokens` and any temperature but their own; others are found out from their first reply.
REASONERS = re.compile(r"(?:^|/)(?:o[134](?:-|$)|gpt-5)", re.IGNORECASE)
LIMIT = re.compile(
    r"(?:<=|less than or equal to|at most|max(?:imum)?(?:\s+(?:allowed|value|is|of))*\s*[:=]?|between \d+ and"
    r"|\[\d+,|from \d+ to)\s*(\d+)",
    re.IGNORECASE,
)
UNKNOWN = re.compile(
    r"unsupported|not (?:be )?supported|does(?: not|n't) support|unrecognized|unknown|unexpected|not permitted"
    r"|not allowed|extra (?:inputs|fields)|invalid|must be|greater than|exceeds|only the default|is not available",
    re.IGNORECASE,
)
SYSTEM = re.compile(r"system (?:role|message|prompt)s?.{0,40}(?:not|n't)|(?:roles must alternate)", re.IGNORECASE)
MOST_LESSONS = 8  # about one trial; a server that always finds something else is not argued with


class Habits:
    """How requests to one model are written."""

    def __init__(self, model: str, extra: dict[str, Any]) -> None:
        reasoner = bool(REASONERS.search(model))
        self.limit = "" if "max_completion_tokens" in extra else "max_completion_tokens" if reasoner else "max_tokens"
        self.left_out: set[str] = {"temperature"} if reasoner else set()
        self.system = True
        self.top = 0  # fewer most likely tokens than asked for; 0 for as many
        self.version = 0
        self.learned: list[str] = []
        self.no_probabilities = False

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a request, without its messages, as this server takes it."""
        written = {key: value for key, value in body.items() if key not in self.left_out}
        limit = written.pop("max_tokens", None)
        if self.limit and limit is not None:
            written[self.limit] = limit
        if self.top and "top_logprobs" in written:
            written["top_logprobs"] = min(self.top, written["top_logprobs"])
        return written

    def learn(self, said: str, sent: dict[str, Any]) -> bool:
        """Change what the server complains of; return False if it complains of something else."""
        lesson = self._lesson(said, sent)
        if not lesson:
            return False
        self.version += 1
        self.learned.append(lesson)
        return True

    def _lesson(self, said: str, sent: dict[str, Any]) -> str:
        low = said.lower()
        if self.system and SYSTEM.search(said):
            self.system = False
            return "the system message is put before the first question"
        if not UNKNOWN.search(said):
            return ""
        if "max_completion_tokens" in low and self.limit == "max_tokens":
            self.limit = "max_completion_tokens"
            return "max_completion_tokens instead of max_tokens"
        if "max_tokens" in low and self.limit == "max_completion_tokens":
            self.limit = "max_tokens"
            return "max_tokens instead of max_completion_tokens"
        if "logprobs" in low and "logprobs" in sent:
            return self._fewer(said, low, sent)
        for name in ("temperature", "seed", "response_format", "structured_outputs", "guided_choice"):
            if name in sent and name not in self.left_out and name in low:
                self.left_out.add(name)
                return f"no {name}"
        return ""

    def _fewer(self, said: str, low: str, sent: dict[str, Any]) -> str:
        number = LIMIT.search(said)
        now = self.top or int(sent.get("top_logprobs", 0))
        if number and 1 <= int(number[1]) < now:
            self.top = int(number[1])
        elif ("top_logprobs" in low or "greater than" in low) and now > 5:
            self.top = 5
        else:
            self.no_probabilities = True
            return ""
        return f"{self.top} most likely tokens"
