"""Keys come from the environment, and leave the process in one header only."""

import os
import re

from ..core import ConfigError

HIDDEN = "[hidden]"
# What keys of common services look like; servers like to quote a part of a wrong one in their message.
LOOKS = re.compile(r"(?i)\b(bearer\s+)[^\s\"',;]+|\b(sk|pk|rk|hf|gsk|xai|AIza)[-_][A-Za-z0-9_*.-]{6,}")


class Secret:
    """A key that shows itself nowhere.

    Parameters
    ----------
    variable : str
        Environment variable that holds it; "" for none.
    needed : bool, optional
        Whether the variable must be set.

    Attributes
    ----------
    variable : str
        Its name.

    Raises
    ------
    ConfigError
        If it must be set and is not, or cannot be sent in a header.
    """

    def __init__(self, variable: str, *, needed: bool = False) -> None:
        self.variable = variable
        self.__value = os.environ.get(variable, "").strip() if variable else ""
        if needed and not self.__value:
            raise ConfigError(f"The environment variable {variable} is not set. Set it to the key of the server.")
        if not self.__value.isascii() or not self.__value.isprintable():
            raise ConfigError(f"The environment variable {variable} holds characters that no key has.")

    def headers(self) -> dict[str, str]:
        """Make the header that holds the key.

        Returns
        -------
        dict of str to str
            Empty if there is no key.
        """
        return {"Authorization": f"Bearer {self.__value}"} if self.__value else {}

    def redact(self, text: str) -> str:
        """Take the key, and whatever looks like one, out of a text.

        Parameters
        ----------
        text : str
            Anything that is to be kept or shown.

        Returns
        -------
        str
            The same without keys.
        """
        if self.__value:
            text = text.replace(self.__value, HIDDEN)
        return LOOKS.sub(lambda match: (match[1] or "") + HIDDEN, text)

    def __repr__(self) -> str:
        return f"Secret({self.variable!r}, {'set' if self.__value else 'not set'})"

    def __reduce__(self) -> str:
        raise TypeError("A secret is not written anywhere.")
