"""How much may be spent, and how much has been."""

import time
from collections.abc import Mapping
from typing import Annotated

from annotated_types import Interval

from ..core import ConfigError
from ..core.settings import NotNegative, Unit, settings
from .trials import Answer, Stopped

MARGIN = 1.25  # a trial may take this much more than the largest so far before a budget is exceeded


@settings("[budget]")
class Budget:
    """Limits of spending, including that of earlier runs of the same annotator; 0 for no limit.

    Examples
    --------
    >>> from encoding.collection import Budget
    >>> Budget(money=5.0, price_in=0.1, price_out=0.4).cost(2_000_000, 0, 1_000_000)  # 2 M tokens in, 1 M out
    0.6
    """

    requests: Annotated[int, Interval(ge=0, le=10**12)] = 0
    """Requests, answered or not."""
    tokens: Annotated[int, Interval(ge=0, le=10**15)] = 0
    """Tokens in and out."""
    money: Annotated[NotNegative, Unit("`currency`")] = 0.0
    """Money, in the currency of the prices."""
    hours: Annotated[NotNegative, Unit("h")] = 0.0
    """Hours of running."""
    price_in: Annotated[NotNegative, Unit("`currency` per million tokens")] = 0.0
    """Price of a million tokens of prompts."""
    price_cached: Annotated[NotNegative, Unit("`currency` per million tokens")] | None = None
    """Price of a million tokens of prompts that the server had in its cache; `price_in` if left out."""
    price_out: Annotated[NotNegative, Unit("`currency` per million tokens")] = 0.0
    """Price of a million tokens of replies."""
    currency: str = "USD"
    """Name of the currency."""

    def __post_init__(self) -> None:
        """Check that money can be counted."""
        if self.money and not (self.price_in or self.price_out):
            raise ConfigError(f"money = {self.money}, but price_in and price_out are needed to count it.")

    def cost(self, tokens_in: float, tokens_cached: float, tokens_out: float) -> float:
        """Return the price of some tokens.

        Parameters
        ----------
        tokens_in, tokens_cached, tokens_out : float
            Tokens of prompts, those of them that were cached, tokens of replies.

        Returns
        -------
        float
            Money.

        Examples
        --------
        >>> Budget(price_in=1.0, price_cached=0.1, price_out=4.0).cost(2e6, 1e6, 1e6)
        5.1
        """
        cached = self.price_in if self.price_cached is None else self.price_cached
        return (
            (tokens_in - tokens_cached) * self.price_in + tokens_cached * cached + tokens_out * self.price_out
        ) / 1e6


class Meter:
    """Counts what a run spends, and refuses what would exceed the budget."""

    def __init__(self, budget: Budget, spent: Mapping[str, float]) -> None:
        self.budget = budget
        self.sent = 0
        self.before = dict(spent)
        self._tokens = [spent["tokens_in"], spent["tokens_cached"], spent["tokens_out"]]
        self._under_way = 0
        self._most_tokens = spent["most_in"] + spent["most_out"]
        self._most_money = budget.cost(spent["most_in"], 0, spent["most_out"])
        self._start = time.monotonic()

    @property
    def tokens(self) -> float:
        """Tokens so far, of earlier runs too."""
        return self._tokens[0] + self._tokens[2]

    @property
    def money(self) -> float:
        """Money so far, of earlier runs too."""
        return self.budget.cost(*self._tokens)

    @property
    def hours(self) -> float:
        """Hours so far, of earlier runs too."""
        return self.before["hours"] + (time.monotonic() - self._start) / 3600

    @property
    def careful(self) -> bool:
        """Whether a budget counts tokens, and no answer has yet shown how many a trial takes."""
        return bool(self.budget.tokens or self.budget.money) and not self._most_tokens

    def request(self) -> None:
        """Count a request before it is sent; raise `Stopped` if none are left."""
        budget = self.budget
        if budget.requests and self.before["requests"] + self.sent >= budget.requests:
            raise Stopped(f"the budget of {budget.requests:,} requests is spent")
        if budget.hours and self.hours >= budget.hours:
            raise Stopped(f"the budget of {budget.hours:g} hours is spent")
        self.sent += 1

    def begin(self, n_trials: int) -> None:
        """Reserve budget for trials; raise `Stopped` if they, with those under way, could exceed it."""
        budget = self.budget
        n = MARGIN * (self._under_way + n_trials)
        if budget.tokens and self.tokens + n * self._most_tokens > budget.tokens:
            raise Stopped(
                f"the next trials could exceed the budget of {budget.tokens:,} tokens ({self.tokens:,.0f} spent)"
            )
        if budget.money and self.money + n * self._most_money > budget.money:
            raise Stopped(
                f"the next trials could exceed the budget of {budget.money:g} {budget.currency} "
                f"({self.money:.4g} spent)"
            )
        self._under_way += n_trials

    def end(self, answers: list[Answer], n_trials: int) -> None:
        """Release the reservation and add what the answers took."""
        self._under_way -= n_trials
        total, budget = self._tokens, self.budget
        for answer in answers:
            total[0] += answer.tokens_in
            total[1] += answer.tokens_cached
            total[2] += answer.tokens_out
            self._most_tokens = max(self._most_tokens, answer.tokens_in + answer.tokens_out)
            if budget.money:
                self._most_money = max(self._most_money, budget.cost(answer.tokens_in, 0, answer.tokens_out))
