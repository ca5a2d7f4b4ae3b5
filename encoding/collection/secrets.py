"""Keys come from the environment, and leave the process in one header only."""

import base64
import json
import os
import re
from typing import Any
from urllib.parse import quote

from ..core import ConfigError

HIDDEN = "[hidden]"
# What keys of common services look like; servers like to quote a part of a wrong one in their message.
LOOKS = re.compile(
    r"(?i)\b(bearer\s+|api[-_]?key[\"']?\s*[:=]\s*[\"']?)[^\s\"',;]{6,}"
    r"|\b(?:sk|pk|rk|hf|gsk|xai|nvapi|r8|ghp|glpat)[-_][A-Za-z0-9_*.-]{6,}"
    r"|\bAIza[A-Za-z0-9_*.-]{10,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]{8,}|\bAKIA[A-Z0-9]{12,}"
)
SHORTEST = 8  # characters of a text in which a part of a key could be told
PART = 12  # characters in a row that give a key away


class Secret:
    """A key that shows itself nowhere."""

    def __init__(self, variable: str, *, needed: bool = False, azure: bool = False) -> None:
        self.variable = variable
        self.__value = os.environ.get(variable, "").strip() if variable else ""
        if needed and not self.__value:
            raise ConfigError(f"The environment variable {variable} is not set. Set it to the key of the server.")
        if not self.__value.isascii() or not self.__value.isprintable():
            raise ConfigError(f"The environment variable {variable} holds characters that no key has.")
        self._azure = azure
        value = self.__value
        packed = base64.b64encode(value.encode()).decode().rstrip("=")
        forms = {value, json.dumps(value)[1:-1], value.replace("/", "\\/"), quote(value), quote(value, safe=""), packed}
        self.__written = sorted(forms - {""}, key=len, reverse=True)
        starts = range(max(len(value) - PART, 0) + 1) if len(value) >= PART else ()
        self.__parts = [value[i : i + PART] for i in starts]

    def headers(self) -> dict[str, str]:
        """Return the header that holds the key; empty if there is no key."""
        if not self.__value:
            return {}
        return {"api-key": self.__value} if self._azure else {"Authorization": f"Bearer {self.__value}"}

    def redact(self, text: str) -> str:
        """Return a text without the key, parts of it, and whatever looks like one."""
        if len(text) < SHORTEST:
            return HIDDEN if self.__value and self.__value in text else text
        for written in self.__written:
            if written in text:
                text = text.replace(written, HIDDEN)
        for part in self.__parts:
            if part in text:
                text = re.sub(re.escape(part) + r"[^\s\"',;]*", HIDDEN, text)
        return LOOKS.sub(lambda match: (match[1] or "") + HIDDEN, text)

    def redact_all(self, value: Any) -> Any:
        """Return JSON without keys in any of its texts."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self.redact(str(key)): self.redact_all(item) for key, item in value.items()}
        return [self.redact_all(item) for item in value] if isinstance(value, list | tuple) else value

    def __repr__(self) -> str:
        return f"Secret({self.variable!r}, {'set' if self.__value else 'not set'})"

    def __reduce__(self) -> str:
        raise TypeError("A secret is not written anywhere.")
