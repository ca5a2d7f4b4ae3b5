"""A chat server on loopback that answers from what it is shown, late, wrongly or not at all, as it is told."""

import argparse
import asyncio
import json
import sys
import zlib
from collections import Counter, deque
from urllib.parse import urlsplit


class Loopback:
    """Answers chat completions.

    Parameters
    ----------
    answer : callable
        Takes the decoded request and returns the fields of a reply: "content", "logprobs" (of the three labels),
        "finish", "refusal", "tokens_in", "tokens_cached".
    latency : float
        Seconds before each reply.
    fault : callable, optional
        Takes the number of the request and its body; returns None or what goes wrong: a status, "garbage", "drop",
        "silence", or (status, headers).
    """

    def __init__(self, answer, *, latency=0.0, fault=None):
        self.answer, self.latency, self.fault = answer, latency, fault
        self.n_requests, self.bodies, self.heads = 0, Counter(), []
        self.under_way = self.most_under_way = 0
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 30)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split(" ", 2)
                length = next(
                    (int(x.split(":")[1]) for x in head.splitlines() if x.lower().startswith("content-length")), 0
                )
                body = await reader.readexactly(length)
                if method == "GET":
                    found = {"/v1/models": {"data": [{"id": "toy"}]}, "/version": {"version": "1.2.3"}}
                    self._send(writer, 200, found.get(urlsplit(target).path, {}))
                    continue
                self.n_requests += 1
                self.heads.append(head)
                self.bodies[zlib.crc32(body)] += 1
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                try:
                    if not await self._reply(self.n_requests, body, writer):
                        return
                finally:
                    self.under_way -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _reply(self, number, body, writer):
        fault = self.fault(number, body) if self.fault else None
        if self.latency:
            await asyncio.sleep(self.latency)
        if fault == "drop":
            return False
        if fault == "silence":
            await asyncio.sleep(60)
        elif fault == "garbage":
            self._send(writer, 200, None, text=b'{"choices": [{"mess')
        elif isinstance(fault, tuple):
            self._send(writer, fault[0], {"error": {"message": "not now"}}, headers=fault[1])
        elif fault is not None:
            self._send(writer, fault, {"error": {"message": f"status {fault}"}})
        else:
            self._send(writer, 200, completion(**self.answer(json.loads(body))))
        return True

    def _send(self, writer, status, content, *, headers=None, text=None):
        data = json.dumps(content).encode() if text is None else text
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"HTTP/1.1 {status} X\r\nServer: loopback\r\nContent-Type: application/json\r\n{extra}"
        writer.write(head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data)


def completion(*, content="", logprobs=None, finish="stop", refusal=None, tokens_in=100, tokens_cached=0, tokens_out=1):
    """What a server replies; `logprobs` is a list of (token, logprob)."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    if refusal:
        choice["message"]["refusal"] = refusal
    if logprobs is not None:
        top = [{"token": token, "logprob": value} for token, value in logprobs]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    usage = {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "prompt_tokens_details": {"cached_tokens": tokens_cached},
    }
    return {"model": "toy", "choices": [choice], "usage": usage}


def by_hash(request):
    """Probabilities that follow from the captions alone, whichever order they are shown in."""
    lines = request["messages"][-1]["content"].splitlines()
    shown = [next(line[3:] for line in lines if line.startswith(f"{label}: ")) for label in "ABC"]
    values = [zlib.crc32(text.encode()) % 1000 / 500 for text in shown]
    best = "ABC"[values.index(max(values))]
    return {"content": best, "logprobs": [(label, value - 3.2) for label, value in zip("ABC", values, strict=True)]}


def mixed_faults(share):
    """Each kind of fault for this share of the requests, drawn from what is asked and how often it was asked."""
    kinds, seen = ((429, {"Retry-After": "0.2"}), 500, "silence", "drop", "garbage"), Counter()

    def fault(_number, body):
        key = zlib.crc32(body)
        seen[key] += 1
        draw = zlib.crc32(f"{key}-{seen[key]}".encode()) % 10_000 / 10_000
        return kinds[int(draw / share)] if draw < len(kinds) * share else None

    return fault


async def serve(latency, faults, *, fixed=False):
    """Run on its own until the standard input is closed; the address is the first line of the output."""
    fault = mixed_faults(faults) if faults else None
    answer = (lambda _: {"content": "A", "logprobs": [("A", -0.1)]}) if fixed else by_hash
    async with Loopback(answer, latency=latency, fault=fault) as server:
        server.heads = deque(maxlen=1)
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--fixed", action="store_true")
    options = parser.parse_args()
    asyncio.run(serve(options.latency, options.faults, fixed=options.fixed))
