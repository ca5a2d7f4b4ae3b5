"""How many requests are under way: more while the server keeps up, fewer when it does not."""

import asyncio
from collections import deque


class Gate:
    """A limit on requests under way that finds its own size.

    It doubles until the server complains for the first time, then grows by one per round of successes, and halves
    at every complaint (at most once per round: one overload makes many complaints).

    Additive increase, multiplicative decrease: Chiu and Jain (1989), Analysis of the increase and decrease
    algorithms for congestion avoidance in computer networks.
    """

    def __init__(self, most: int, per_minute: float = 0) -> None:
        self.most = most
        self.limit = float(min(most, 16))
        self.under_way = 0
        self._rising = True
        self._successes = 0
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._closed_until = 0.0
        self._calm_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait until another request may be sent."""
        while True:
            while self.under_way >= int(self.limit):
                ticket = asyncio.get_running_loop().create_future()
                self._waiting.append(ticket)
                try:
                    await ticket
                finally:
                    if ticket in self._waiting:
                        self._waiting.remove(ticket)
            self.under_way += 1
            delay = self._delay()
            if delay <= 0:
                return
            self.under_way -= 1
            await asyncio.sleep(delay)

    def _delay(self) -> float:
        """Return the seconds to wait; if 0, take the place of the next request."""
        if not self._interval and not self._closed_until:
            return 0.0
        now = asyncio.get_running_loop().time()
        wait = max(self._closed_until, self._next) - now
        if wait <= 0:
            self._closed_until = 0.0
            self._next = max(self._next, now) + self._interval if self._interval else 0.0
        return wait

    def leave(self, *, overloaded: bool, round_trip: float = 0.0) -> None:
        """Release a slot and adapt the limit to how the request went."""
        self.under_way -= 1
        now = asyncio.get_running_loop().time()
        if overloaded:
            self._rising = False
            self._successes = 0
            if now >= self._calm_until:
                self.limit = max(1.0, self.limit / 2)
                self._calm_until = now + max(round_trip, 0.05)
        elif self.limit < self.most:
            self._successes += 1
            if self._rising:
                self.limit = min(self.most, self.limit + 1)
            elif self._successes >= self.limit:
                self._successes = 0
                self.limit = min(self.most, self.limit + 1)
        free = int(self.limit) - self.under_way
        while self._waiting and free > 0:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(None)
                free -= 1

    def close_for(self, seconds: float) -> None:
        """Pause all requests for some seconds."""
        until = asyncio.get_running_loop().time() + seconds
        self._closed_until = max(self._closed_until, until)


class Room:
    """A limit on what the requests under way take of memory; one of them has room, however large it is."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> None:
        """Wait until there is room for so many bytes; who came first has it first."""
        if self._waiting or (self.taken and self.taken + size > self.most):
            ticket = asyncio.get_running_loop().create_future()
            self._waiting.append((size, ticket))
            try:
                await ticket
            except asyncio.CancelledError:
                if ticket.done() and not ticket.cancelled():
                    self.leave(size)
                raise
            finally:
                self._waiting = deque(entry for entry in self._waiting if entry[1] is not ticket)
        else:
            self.taken += size

    def leave(self, size: int) -> None:
        """Release so many bytes."""
        self.taken -= size
        while self._waiting and (not self.taken or self.taken + self._waiting[0][0] <= self.most):
            next_size, ticket = self._waiting.popleft()
            if not ticket.done():
                self.taken += next_size
                ticket.set_result(None)
