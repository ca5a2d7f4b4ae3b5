"""What servers do, and the one outcome that each trial then has: status, body, headers."""

import gzip
import http.server
import json
import socketserver
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_runner import setup

from encoding.collection import OpenAI, collect, load_prompt
from encoding.collection.reading import read_text
from encoding.collection.runner import Asking
from encoding.io.judgments.answers import AnswerStore

NAN, INF = float("nan"), float("inf")
TOP = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -3.0}, {"token": "C", "logprob": -4.0}]


def reply(content="B", finish="stop", usage=None, logprobs=None, **more):
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": finish, **more.pop("choice", {})}
    if logprobs is not None:
        choice["logprobs"] = logprobs
    usage = {"prompt_tokens": 9, "completion_tokens": 1} if usage is None else usage
    return {"model": "toy", "choices": [choice], "usage": usage, **more}


def error(message, **more):
    return {"error": {"message": message, **more}}


def soft(top):
    return reply("A", logprobs={"content": [{"token": "A", "logprob": -0.1, "top_logprobs": top}]})


def deep(n):
    return b'{"choices":' + b"[" * n + b"]" * n + b"}"


@contextmanager
def serving(answer, *, whole=False):  # noqa: C901
    """`answer` takes the decoded request and returns (status, body, headers); or (handler, method, path, body)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_GET(self):
            if whole:
                self._send(*answer(self, "GET", self.path, b""))
            else:
                self._send(200, {"data": [{"id": "toy"}]}, {})

        def do_POST(self):
            if whole:
                self._send(*answer(self, "POST", self.path, self._read()))
                return
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((request, dict(self.headers), self.path))
            self._send(*answer(request))

        def _read(self):
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _send(self, status, body, headers=None):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for key, value in (
                {"Content-Type": "application/json", "Content-Length": len(data)} | (headers or {})
            ).items():
                self.send_header(key, str(value))
            self.end_headers()
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    seen = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()


BEHAVIOURS = [
    # Answers in words
    ("letter", 200, reply("B"), "valid"),
    ("letter and noun", 200, reply("C) the dog"), "valid"),
    ("option", 200, reply("Option C."), "valid"),
    ("json", 200, reply('{"answer": "C"}'), "valid"),
    ("fenced json", 200, reply('```json\n{"answer": "C"}\n```'), "valid"),
    ("boxed", 200, reply("So \\boxed{C}"), "valid"),
    ("list of parts", 200, reply([{"type": "text", "text": "C"}]), "valid"),
    (
        "parts with reasoning",
        200,
        reply([{"type": "thinking"}, {"type": "text", "text": "C"}]),
        "valid",
    ),
    ("reasoning before", 200, reply("<think>The answer is A.</think>C"), "valid"),
    ("reasoning beside", 200, reply("C", message={"reasoning_content": "The answer is A"}), "valid"),
    ("reasoning alone", 200, reply("<think>The answer is A"), "unparsed"),
    ("reasoning cut off", 200, reply("<think>The answer is A", finish="length"), "truncated"),
    ("article", 200, reply("The answer is a close call"), "unparsed"),
    ("list of all", 200, reply("A) sad\nB) glad\nC) calm"), "unparsed"),
    ("cut off", 200, reply("The odd one", finish="length"), "truncated"),
    ("empty", 200, reply(""), "unparsed"),
    ("null", 200, reply(None), "unparsed"),
    ("lone surrogate", 200, b'{"choices":[{"message":{"content":"\\ud83d B?"},"finish_reason":"stop"}]}', "unparsed"),
    ("no usage", 200, reply("B", usage={}), "valid"),
    ("null usage", 200, {**reply("B"), "usage": None}, "valid"),
    ("null details", 200, reply("B", usage={"prompt_tokens": 9, "prompt_tokens_details": None}), "valid"),
    ("reasoning as list", 200, reply("B", message={"reasoning": [1]}), "valid"),
    ("reasoning and no more", 200, reply("", message={"reasoning_content": {"x": 1}}), "unparsed"),
    ("tools", 200, reply(None, finish="tool_calls", message={"tool_calls": [{"id": "x"}]}), "unparsed"),
    ("zero bytes", 200, reply("\0B"), "unparsed"),
    ("letters without end", 200, reply("B" * 2_000_000), "unparsed"),
    ("braces without end", 200, reply("{" * 99_000), "unparsed"),
    ("statements without end", 200, reply("the answer is " * 7000), "unparsed"),
    ("finish of a kind of its own", 200, reply("B", finish={"why": 1}), "valid"),
    ("model a number", 200, {**reply("B"), "model": 5}, "valid"),
    ("fingerprint a list", 200, reply("B", system_fingerprint=["x"]), "valid"),
    (
        "more cached than sent",
        200,
        reply("B", usage={"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 99}}),
        "valid",
    ),
    ("byte order mark", 200, b"\xef\xbb\xbf" + json.dumps(reply("B")).encode(), "valid"),
    ("full-width letter", 200, reply("\uff22\u3002"), "valid"),
    ("letter that cannot be seen beside", 200, reply("\ufeffB\u200b"), "valid"),
    ("typographic quotation marks", 200, reply("The answer is \u2018B\u2019."), "valid"),
    ("question repeated", 200, reply("Odd one out (A, B or C): B"), "valid"),
    ("same choice twice", 200, {"choices": [{"message": {"content": "B"}}] * 2}, "valid"),
    ("same key twice, same value", 200, b'{"choices":[{"message":{"content":"B","content":"B"}}]}', "valid"),
    ("tool beside a letter", 200, reply("B", message={"tool_calls": []}), "valid"),
    ("letter of another alphabet", 200, reply("\u0412"), "unparsed"),
    ("neither", 200, reply("Neither A nor B is the odd one out."), "unparsed"),
    ("not but", 200, reply("not A but B"), "unparsed"),
    ("two letters", 200, reply("A and B"), "unparsed"),
    ("two parts", 200, reply([{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]), "unparsed"),
    ("two answers in JSON", 200, reply('{"answer": "A", "answer": "B"}'), "unparsed"),
    (
        "arguments of a tool",
        200,
        reply(None, message={"tool_calls": [{"function": {"arguments": '{"answer": "B"}'}}]}),
        "unparsed",
    ),
    ("undecided", 200, reply("I can't decide between A and B."), "unparsed"),
    ("article cut off", 200, reply("a", finish="length"), "truncated"),
    ("statement cut off", 200, reply("The answer is B", finish="length"), "truncated"),
    ("error that is null", 200, {**reply("B"), "error": None}, "valid"),
    # Replies that are none
    ("other choices", 200, {"choices": [{"message": {"content": "A"}}, {"message": {"content": "B"}}]}, "error"),
    (
        "choices twice",
        200,
        b'{"choices":[{"message":{"content":"A"}}],"choices":[{"message":{"content":"B"}}]}',
        "error",
    ),
    ("content twice", 200, b'{"choices":[{"message":{"content":"A","content":"B","content":"A"}}]}', "error"),
    ("choices null", 200, {"choices": None}, "error"),
    ("page", 200, (b"<!DOCTYPE html><html>Log in</html>", {"Content-Type": "text/html"}), "error"),
    ("usage true", 200, reply(usage={"prompt_tokens": True}), "error"),
    (
        "cached negative",
        200,
        reply(usage={"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": -3}}),
        "error",
    ),
    ("refusal a number", 200, reply("", message={"refusal": 5}), "error"),
    ("choice null", 200, {"choices": [None]}, "error"),
    ("message null", 200, {"choices": [{"message": None}]}, "error"),
    ("completion of the old kind", 200, {"choices": [{"text": "B"}]}, "error"),
    ("part of a stream", 200, {"choices": [{"delta": {"content": "B"}}]}, "error"),
    (
        "stream",
        200,
        (b'data: {"choices":[{"delta":{"content":"B"}}]}\n\ndata: [DONE]\n\n', {"Content-Type": "text/event-stream"}),
        "error",
    ),
    ("error that is a list", 200, {"error": [1, 2]}, "error"),
    ("error code NaN", 200, {"error": {"code": NAN, "message": "x"}}, "error"),
    ("error code infinite", 200, {"error": {"code": INF, "message": "x"}}, "error"),
    ("error code beyond counting", 200, {"error": {"code": 10**400, "message": "x"}}, "error"),
    ("error code no digit", 200, {"error": {"code": "\u00b2", "message": "x"}}, "error"),
    ("error code in words", 200, {"error": {"code": "rate_limit_exceeded", "message": "slow down"}}, "error"),
    ("usage of text", 200, reply(usage="many"), "error"),
    ("usage as list", 200, reply(usage=[1, 2]), "error"),
    ("usage NaN", 200, reply(usage={"prompt_tokens": NAN, "completion_tokens": 1}), "error"),
    ("usage infinite", 200, reply(usage={"prompt_tokens": INF}), "error"),
    ("usage beyond counting", 200, reply(usage={"prompt_tokens": 10**30}), "error"),
    ("usage negative", 200, reply(usage={"prompt_tokens": -5}), "error"),
    ("usage in words", 200, reply(usage={"prompt_tokens": "12"}), "error"),
    ("content a number", 200, reply(7), "error"),
    ("content a list of lists", 200, reply([["B"]]), "error"),
    ("no message", 200, {"choices": [{"finish_reason": "stop"}]}, "error"),
    ("message of text", 200, {"choices": [{"message": "B"}]}, "error"),
    ("choices of text", 200, {"choices": "B"}, "error"),
    ("no choices", 200, {"choices": []}, "error"),
    ("JSON a list", 200, [1], "error"),
    ("not JSON", 200, b"<html>hello</html>", "error"),
    ("not UTF-8", 200, b'{"choices": "\xff\xfe"}', "error"),
    ("deep JSON", 200, deep(100_000), "error"),
    ("endless number", 200, b'{"choices": ' + b"9" * 5000 + b"}", "error"),
    ("empty body", 200, b"", "error"),
    ("half a body", 200, b'{"choices": [{"mess', "error"),
    ("gzip that is none", 200, (b"garbage", {"Content-Encoding": "gzip"}), "error"),
    ("gzip", 200, (gzip.compress(json.dumps(reply("B")).encode()), {"Content-Encoding": "gzip"}), "valid"),
    ("gzip bomb", 200, (gzip.compress(b" " * (40 << 20)), {"Content-Encoding": "gzip"}), "error"),
    ("huge body", 200, b" " * (17 << 20), "error"),
    ("half a gzip", 200, (gzip.compress(json.dumps(reply("B")).encode())[:-12], {"Content-Encoding": "gzip"}), "error"),
    (
        "gzip in two parts",
        200,
        (gzip.compress(b'{"choices":') + gzip.compress(b"[]}"), {"Content-Encoding": "gzip"}),
        "error",
    ),
    ("unknown packing", 200, (b"x", {"Content-Encoding": "br"}), "error"),
    # Refusals
    ("refusal", 200, reply("", message={"refusal": "No."}), "refused"),
    ("filter", 200, reply("", finish="content_filter"), "refused"),
    ("filter behind a letter", 200, reply("B", finish="content_filter"), "refused"),
    ("refusal beside a letter", 200, reply("B", message={"refusal": "No."}), "refused"),
    ("refusal as a part", 200, reply([{"type": "refusal", "refusal": "I'm sorry."}]), "refused"),
    ("filter of Gemini", 200, reply("", finish="PROHIBITED_CONTENT"), "refused"),
    ("declined", 200, reply("I'm sorry, but I can't help with that."), "refused"),
    ("moderation 403", 403, error("Your input was flagged by moderation"), "refused"),
    ("bare 403", 403, b"Forbidden", "refused"),
    ("policy 400", 400, error("The request violates our usage policies"), "refused"),
    ("filter of Azure", 400, error("filtered", code="content_filter"), "refused"),
    (
        "inspection",
        400,
        error("inappropriate content", code="data_inspection_failed"),
        "refused",
    ),
    ("error body 200, policy", 200, error("flagged as unsafe by the content policy", code=403), "refused"),
    ("error in words, policy", 200, {"error": "flagged by moderation"}, "refused"),
    ("safety system", 400, error("Your request was rejected as a result of our safety system."), "refused"),
    ("error in a choice", 200, reply("", choice={"error": {"code": 403, "message": "flagged"}}), "refused"),
    ("blocked prompt", 200, {"promptFeedback": {"blockReason": "SAFETY"}, "choices": []}, "refused"),
    # Errors that are tried again, and end
    ("error body 200", 200, error("provider down", code=502), "error"),
    ("busy", 429, error("slow down"), "error"),
    ("busy until NaN", 429, (b"{}", {"Retry-After": "nan"}), "error"),
    ("busy until yesterday", 429, (b"{}", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), "error"),
    ("busy until soon", 429, (b"{}", {"Retry-After": "soon"}), "error"),
    ("policy in a failure of the server", 500, error("content policy violation"), "error"),
    ("time-out", 408, b"", "error"),
    ("conflict", 409, b"", "error"),
    ("gateway", 502, b"<html>bad gateway</html>", "error"),
    ("unnamed 5xx", 530, b"", "error"),
    # Errors that are not
    ("bad request", 400, error("messages too long"), "error"),
    ("too large", 413, b"", "error"),
    ("not processable", 422, error("no such field"), "error"),
    ("not implemented", 501, b"", "error"),
    ("nothing", 204, b"", "error"),
    ("part", 206, reply("B"), "error"),
    ("later", 202, {"status": "queued"}, "error"),
    ("legal reasons", 451, error("Unavailable for legal reasons"), "error"),
    # Replies that stop a run, since the next would be the same
    ("key", 401, error("wrong key"), "stop"),
    ("payment", 402, b"", "stop"),
    ("no such model", 404, error("no model"), "stop"),
    ("method", 405, b"", "stop"),
    ("key 403", 403, error("Invalid API key"), "stop"),
    ("country", 403, error("no", code="unsupported_country_region_territory"), "stop"),
    ("quota", 429, error("You exceeded your current quota", code="insufficient_quota"), "stop"),
    ("credit", 400, error("Your credit balance is too low"), "stop"),
    ("quota in a body", 200, error("no money", code="insufficient_quota"), "stop"),
    ("to a page", 302, (b"", {"Location": "/login"}), "stop"),
    ("elsewhere", 308, (b"", {"Location": "https://other/v1"}), "stop"),
]


USUAL = b', "usage": {"prompt_tokens": 9, "completion_tokens": 1}'
TABLE = Path(__file__).parents[2] / "benchmarks" / "results" / "servers.md"


def behaviours_as_markdown():
    """The table for people: what a server does, and the outcome of the trial; "stop" ends a run."""
    lines = [
        "# What servers do, and what becomes of the trial", "",
        "Every row is a test (`tests/collection/test_servers.py`, which also writes this table: `python "
        "tests/collection/test_servers.py`). A run goes on after all but \"stop\", after which the next request would "
        "fare no better.", "", "| behaviour | status | body | headers | outcome |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, status, content, outcome in BEHAVIOURS:
        body, headers = content if isinstance(content, tuple) else (content, {})
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        common = b'"model": "toy", "choices": [{"index": 0, "message": {"role": "assistant", '
        text = text.replace(common, b'..., "message": {').replace(USUAL, b"...")
        short = text[:90].decode("latin-1").encode("unicode_escape").decode().replace("|", "/").replace("`", "'")
        shown = f"`{short}`" if text else ""
        if "Content-Encoding" in headers:
            shown = "packed"
        elif len(text) > 90:
            shown += f" ... {len(text):,} bytes"
        listed = ", ".join(f"{key}: {value}" for key, value in headers.items())
        lines.append(f"| {name} | {status} | {shown} | {listed} | {outcome} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_behaviours_is_that_of_the_tests():
    assert len(BEHAVIOURS) > 100
    assert TABLE.read_text(encoding="utf-8") == behaviours_as_markdown()


@pytest.mark.parametrize(("status", "body", "outcome"), [row[1:] for row in BEHAVIOURS], ids=[r[0] for r in BEHAVIOURS])
def test_every_behaviour_of_a_server_has_one_outcome(tmp_path, names, captions, status, body, outcome):
    plan, shown, contents = setup(names, captions, n_triplets=3)
    data, headers = body if isinstance(body, tuple) else (body, {})
    with serving(lambda _: (status, data, headers)) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-text", url=url, tries=1, concurrency=1, timeout=20).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        stored = [row[0] for row in store.base.execute("SELECT outcome FROM answers")]
    if outcome == "stop":
        assert stored == []
        assert len(seen) == 1
        assert "127.0.0.1" in progress.reason
        return
    assert progress.reason == "finished"
    assert progress.outcomes[outcome] == len(stored) == 3, progress


WELL = json.dumps(reply("B")).encode()
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
BROKEN = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "half a status": b"HTTP/1.1 20",
    "chunks that end": CHUNKED + b"%x\r\n" % len(WELL) + WELL[:20],
    "chunks without an end": CHUNKED + b"%x\r\n%s\r\n" % (len(WELL), WELL),
    "size of a chunk": CHUNKED + b"zz\r\n" + WELL,
    "huge header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\nContent-Length: %d\r\n\r\n" % len(WELL) + WELL,
    "body shorter than said": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(WELL) + 9) + WELL,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: %d\r\n\r\n" % len(WELL) + WELL,
    "length no number": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + WELL,
}
WHOLE = {
    "chunks": CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in WELL) + b"0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + WELL,
    "old HTTP": b"HTTP/1.0 200 OK\r\n\r\n" + WELL,
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + WELL,
}


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [*((x, "error") for x in BROKEN.values()), *((x, "valid") for x in WHOLE.values())],
    ids=[*BROKEN, *WHOLE],
)
def test_connections_that_break_are_one_outcome_each(tmp_path, names, captions, sent, outcome):
    plan, shown, contents = setup(names, captions, n_triplets=2)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            length = 0
            while (line := self.rfile.readline()).strip():
                length = int(line.split(b":")[1]) if line.lower().startswith(b"content-length") else length
            self.rfile.read(length)
            self.wfile.write(sent)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with AnswerStore(tmp_path / "a.sqlite") as store:
            url = f"http://127.0.0.1:{server.server_address[1]}/v1"
            annotator = OpenAI("toy", "captions-text", url=url, tries=1, concurrency=1, timeout=5).open(contents)
            assert collect(plan, shown, contents, annotator, store).outcomes[outcome] == 2
        server.shutdown()


@pytest.mark.parametrize(
    ("top", "outcome"),
    [
        (TOP, "valid"),
        (TOP[:1], "valid"),
        ([{"token": "A", "logprob": 1000}], "error"),
        ([{"token": "A", "logprob": None}], "error"),
        ([{"token": "A", "logprob": NAN}], "error"),
        ([{"token": "A", "logprob": "-1"}], "error"),
        ([{"token": "A", "logprob": -9999.0}], "unparsed"),
        ([{"token": "A", "logprob": 0.0}, {"token": " A", "logprob": -0.1}], "error"),  # more than 1 together
        ([{"token": None, "logprob": -1}, *TOP], "valid"),
        (["A"], "error"),
        ("A", "error"),
    ],
)
def test_probabilities_are_numbers_or_an_error(tmp_path, names, captions, top, outcome):
    plan, shown, contents = setup(names, captions, n_triplets=3)
    with serving(lambda _: (200, soft(top), {})) as (url, _), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=url, tries=1).open(contents)
        assert collect(plan, shown, contents, annotator, store).outcomes[outcome] == 3


def test_an_empty_reply_among_probabilities_is_one_trial(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=30)
    bad = captions[names[3]][0]

    def answer(request):
        empty = f"A: {bad}" in request["messages"][-1]["content"]
        return 200, reply("", logprobs={"content": []}) if empty else soft(TOP), {}

    with serving(answer) as (url, _), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=url).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
    assert progress.reason == "finished"
    assert progress.outcomes["unparsed"] == int((plan.items[:, 0] == 3).sum()) > 0


@pytest.mark.parametrize(
    "text",
    [
        "The answer is a close call", "The answer is not A", "The answer is A or B.", "Is the answer A?", "A dog barks",
        "Answer: A man walks", "<think>B</think>", "I think a is odd", "The answer is D", "answer", "Apples are odd",
        "A) sad B) glad C) calm", "A: dog B: cat C: sun", "Option A. Option B. Option C.", "A. B. C.",
        "(A) or (B)", "B\nWait, actually A", "The answer is B. Hmm, the answer is A or C.", "The answer is (A) or (B)",
        "It is neither A nor B", "{\"answer\": \"a dog\"}", "B, C", "B. No, A.", "B. Actually, C",
        "\\boxed{D}", "Answer: B, C", "Answer: **B**, or C",
        # denied, supposed, or one of two
        "Neither A nor B is the odd one out.", "I don't think B is the odd one out.", "A or B is the odd one out",
        "A/B is odd",
        "It is unlikely that the odd one out is B.", "If B is the odd one out, then A and C match.",
        "One might say the answer is B.", "The answer is B, or maybe C.", "The answer is B (or C).",
        "The answer is A... or B.",
        "\\boxed{A} or \\boxed{B}", "B is the odd one out or C is.", "Suppose the answer is B.", "A: B", "A) B",
        "Answer: A) B",
        "A not B but C", "I think A is happy", "The odd one out is not the dog (A).", "Selected: A or B",
        "Label: A dog",
        "The odd one out is the one that is unlike the dog (A).", "A does not belong with B", "\u0421", "\u0410",
        "\u24b7",
        # of which the doubt stands further away, or a noun between it and the label
        "I don't think the dog (B) is the odd one out", "I don't think the real odd one out is B",
        "I doubt the answer is B",
        "There is no evidence that B is the odd one out.", "There is no way B is the odd one out",
        "Nobody who looks closely would say B is the odd one out", "Neither A nor the cat B is the odd one out",
        "Neither the dog in A nor the cat in B is the odd one out", "I don't think A is sad and B is the odd one out",
        "If A is sad and B is the odd one out", "If video B is the odd one out", "I never said the answer is B",
        "It is by no means certain the answer is B", "If the criterion were colour B would be the odd one out",
        # the name of another in brackets, and lists of fields
        "The odd one out is different to (A).", "The odd one out is the clip unrelated to video (A).",
        "The odd one out is shown after (A).", "The odd one out is the only video without the dog seen in (A).",
        "The odd one out is the video before (A).", "The odd one out is the opposite of (B).",
        "Letter: A (dog)\nLetter: B (cat)\nLetter: C (car)\n\nTwo are animals.",
        "Label: A - dog\nLabel: B - cat\nLabel: C - car", "The label: A. The label: B. The label: C. They all differ.",
        "Selection: A - B", "Selected: A - C",
        # another in a sentence of its own
        "The answer is B. Alternatively C.", "The answer is B. Or C.", "The answer is B. Maybe C.", "B. Perhaps C is.",
        "The odd one out is C (the dog) or B",
    ],
)  # fmt: skip
def test_words_that_are_no_answers(text):
    assert read_text(text, load_prompt("captions-text"), cut=False).outcome == "unparsed"


@pytest.mark.parametrize(
    "text",
    [
        "C", "c", "**C**", "(C)", "C.", "C) the dog", "C: the dog", "Option C", "Video C", "The answer is C",
        "Answer: C",         "**Answer:** C", "The odd one out is C.",
        "C is the odd one out because A and B are alike.", "I choose C.",
        "The answer is A. No: the answer is C.", "A: sad\nB: glad\nC: calm\n\nAnswer: C",
        "```json\n{\"choice\":\"C\"}\n```",
        "$\\boxed{\\text{C}}$", "thinking A</think>\n\nC", "[THINK]A[/THINK]C", "C</s>",
        "<answer>C</answer>", "The answer is: **C) the dog**", "C, because A and B are alike",
        "Thinking: A is odd. Final: C", "The answer is C, not A.", "A is odd? No, the answer is C.",
        "Final answer: Option C", "C. The other two (A and B) show animals.", "C) the dog, not like A or B",
        "C. It is actually outdoors, unlike A and B.", "Answer: C\n\nReasoning: while people wait in clip A, it rains.",
        "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>final<|message|>C",
        "Odd one out (A, B or C): C", "Answer (A, B, or C): **C**", "Answer: 'C'", "Final Answer: $C$", "<b>C</b>",
        "C[/INST]",
        "\u201cC\u201d", "The answer is \u2018C\u2019.", "\uff23", "Answer\uff1a\uff23\u3002", "\ufeffC\u200b",
        "C\u2014the dog",
        "I would choose C over A.", "C, not A", "C (not A or B)", "It is C.", "I think it's C", "C is my answer.",
        "Response: C",
        "Selected: C", "C does not fit.", "The odd one out is the dog (C).", "Unlike A and B, C is the odd one out.",
        "I am not sure, but the answer is C.", "{'answer': 'C'}", "Between B and C, C is the odd one out.",
        "The answer is not A. The answer is C.",
        # words of doubt that are about something else
        "That's why the answer is C.", "That is why I choose C.", "This is why the odd one out is C.",
        "Here's why C is the odd one out:", "Why C is the odd one out: it shows anger.",
        "There is no doubt that C is the odd one out.", "Without a doubt the answer is C.",
        "No doubt the odd one out is C",
        "There is no question that the odd one out is C.", "Not surprisingly the odd one out is C.",
        "Because A and B do not differ C is the odd one out.", "Since neither smiles the answer is C",
        "Neither of the first two is sad and C is the odd one out", "If A and B are pets then C is the odd one out.",
        "Although A and B don't show the same place C is the odd one out.", "Rather than A or B I choose C",
        "Instead of A I choose C", "If I had to pick one I'd say C", "I may be wrong and the answer is C",
        "If I look at emotions the odd one out is C", "Neither smiles and the odd one out is C",
        "The answer is C. Perhaps A and B are pets.", "The odd one out is the man walking a dog (C).",
        "Selection: C - a dog",
    ],
)  # fmt: skip
def test_plain_statements_are_answers(text):
    answer = read_text(text, load_prompt("captions-text"), cut=False)
    assert (answer.outcome, answer.choice, answer.reply) == ("valid", 2, text)


LESSONS = [
    ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
     "instead.", "max_completion_tokens"),
    ("temperature", "Unsupported value: 'temperature' does not support 0 with this model.", ""),
    ("seed", "Unrecognized request argument supplied: seed", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "said", "instead"), LESSONS, ids=[row[0] for row in LESSONS])
def test_parameters_that_a_model_refuses_are_left_out_from_then_on(tmp_path, names, captions, name, said, instead):
    plan, shown, contents = setup(names, captions, n_triplets=20)

    def answer(request):
        return (400, error(said, param=name), {}) if name in request else (200, reply("B"), {})

    with serving(answer) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-text", url=url, seed=1, concurrency=1).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        assert store.spent(1)["requests"] == 21
        (run,) = store.runs(1)
        assert run["notes"]["adapted"] == list(progress.lessons)
        assert name in progress.lessons[0]
    assert progress.outcomes["valid"] == 20
    assert [name in body for body, _, _ in seen] == [True, *[False] * 20]
    assert not instead or all(instead in body for body, _, _ in seen[1:])


def test_fewer_probabilities_and_no_system_message(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=10)

    def answer(request):
        if request["messages"][0]["role"] == "system":
            return 400, error("System role not supported"), {}
        if request["top_logprobs"] > 5:
            return 400, error("Invalid value for 'top_logprobs': must be less than or equal to 5."), {}
        return 200, soft(TOP), {}

    with serving(answer) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=url, concurrency=1).open(contents)
        assert collect(plan, shown, contents, annotator, store).outcomes["valid"] == 10
    last = seen[-1][0]
    assert last["top_logprobs"] == 5
    assert last["messages"][0]["content"].startswith(load_prompt("captions-letter").system)
    assert len(seen) == 12


def test_a_model_known_to_reason_is_asked_as_it_wants(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=5)
    with serving(lambda _: (200, reply("B"), {})) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        collect(plan, shown, contents, OpenAI("openai/o3-mini", "captions-text", url=url).open(contents), store)
    assert all("max_completion_tokens" in body and "max_tokens" not in body for body, _, _ in seen)
    assert not any("temperature" in body for body, _, _ in seen)


# Money


def test_useless_answers_stop_early_and_can_be_asked_again(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=150)
    good = {"now": False}
    with (
        serving(lambda _: (200, reply("B" if good["now"] else "Both of them?"), {})) as (url, _),
        AnswerStore(tmp_path / "a.sqlite") as store,
    ):
        annotator = OpenAI("toy", "captions-text", url=url, concurrency=4).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        assert 20 <= progress.asked <= 24
        assert "20 trials in a row had no valid answer" in progress.reason
        assert "--retry" in progress.reason
        (((kind, why), (n, said)),) = progress.reasons.items()
        assert (kind, n, said) == ("unparsed", progress.asked, "Both of them?")
        assert "form that was asked for" in why
        good["now"] = True
        again = collect(plan, shown, contents, annotator, store, asking=Asking(retry=("unparsed",)))
        assert again.outcomes["valid"] == again.asked == 150
        assert store.counts(1)["valid"] == 150


def test_useless_answers_cost_twenty_requests_and_no_run_without_a_valid_one_ends_well(tmp_path, capsys):
    """Many are under way at once, so that many more were paid for than the twenty that show that nothing is of use."""
    from test_command import write

    from encoding.cli import main

    good = [False]
    with serving(lambda _: (200, reply("B" if good[0] else "hm"), {})) as (url, seen):
        model = f'[[annotator]]\nkind = "openai"\nmodel = "toy"\nprompt = "captions-text"\nurl = "{url}"\n'
        config = write(tmp_path, model, show="captions")
        assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
        assert main(["collect", "run", "--config", config]) == 1
        assert len(seen) == 20
        assert main(["collect", "run", "--config", config, "--retry", "unparsed"]) == 1
        assert len(seen) == 40
        few = tmp_path / "few"
        few.mkdir()
        how = {"n_triplets = 120": "n_triplets = 6", "subset = 4": "subset = 0", "repeated = 5": "repeated = 0"}
        config = write(few, model, show="captions", **how)
        assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
        for _ in range(2):  # also where nothing is left to ask
            assert main(["collect", "run", "--config", config]) == 1
        assert "none of its answers is valid" in capsys.readouterr().err
        assert main(["collect", "all", "--config", config]) == 1
        assert "none of the 6 answers of 'toy' is valid" in " ".join(capsys.readouterr().err.split())
        good[0] = True
        assert main(["collect", "run", "--config", config, "--retry", "unparsed"]) == 0
        assert main(["collect", "run", "--config", config]) == 0


def test_few_are_under_way_until_the_first_valid_answer_and_one_that_hangs_holds_nobody(tmp_path, names, captions):
    """The first twenty had to end before the others began, and twenty refusals were enough for that."""
    plan, shown, contents = setup(names, captions, n_triplets=150)
    state, lock, go_on = {"n": 0, "now": 0, "most": 0, "waited": True}, threading.Lock(), threading.Event()

    def answer(_):
        with lock:
            state["n"] += 1
            number, state["now"] = state["n"], state["now"] + 1
            state["most"] = max(state["most"], state["now"]) if number <= 60 else state["most"]
        if number == 1:
            state["waited"] = go_on.wait(10)  # for the last but one
        elif number == 149:
            go_on.set()
        time.sleep(0.01)
        with lock:
            state["now"] -= 1
        return (403, error("flagged"), {}) if number <= 60 else (200, reply("B"), {})

    with serving(answer) as (url, _), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-text", url=url, concurrency=40).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
    assert (progress.asked, progress.outcomes["valid"], progress.outcomes["refused"]) == (150, 90, 60)
    assert 10 < state["most"] <= 20
    assert state["waited"]


def test_a_stimulus_that_is_always_refused_stops_nothing(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=220)
    bad = captions[names[0]][0]

    def answer(request):
        flagged = bad in request["messages"][-1]["content"]
        return (403, error("flagged"), {}) if flagged else (200, reply("B"), {})

    with serving(answer) as (url, _), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-text", url=url, concurrency=1).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
    assert progress.reason == "finished"
    assert progress.outcomes["refused"] == int((plan.items == 0).any(axis=1).sum()) > 50


# Keys and passwords

KEY = "abc/def+0123456789-ghijkl"


def test_a_key_that_a_server_gives_back_is_kept_nowhere(tmp_path, names, captions, monkeypatch):
    monkeypatch.setenv("TOY_KEY", KEY)
    plan, shown, contents = setup(names, captions, n_triplets=6)
    echo = reply(f"key {KEY[:16]}", finish=KEY, system_fingerprint=KEY, model=f"toy {KEY}")
    bodies = iter([(200, echo, {}), (400, {"error": KEY}, {}), (200, echo | {"usage": KEY}, {}),
                   (200, json.dumps(echo).replace("/", "\\/").encode(), {}), (500, {"e": KEY}, {}),
                   (200, reply("", message={"refusal": KEY}), {})])  # fmt: skip
    with serving(lambda _: next(bodies)) as (url, _), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-text", url=url, key_variable="TOY_KEY", concurrency=1, tries=1).open(
            contents
        )
        assert collect(plan, shown, contents, annotator, store).asked == 6
        rows = store.base.execute("SELECT reply, detail FROM answers").fetchall()
        dump = "\n".join(store.base.iterdump())
    assert sum("[hidden]" in reply + detail for reply, detail in rows) >= 5
    assert KEY[:12] not in dump
    assert KEY[8:20] not in dump


def test_passwords_of_netrc_stay_there(tmp_path, names, captions, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    plan, shown, contents = setup(names, captions, n_triplets=3)
    with serving(lambda _: (200, reply("B"), {})) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        collect(plan, shown, contents, OpenAI("toy", "captions-text", url=url).open(contents), store)
    assert not any("Authorization" in headers for _, headers, _ in seen)


def test_proxies_of_the_environment_are_used(tmp_path, names, captions, monkeypatch):
    plan, shown, contents = setup(names, captions, n_triplets=3)
    with serving(lambda _: (200, reply("B"), {})) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        monkeypatch.setenv("http_proxy", url.removesuffix("/v1"))
        annotator = OpenAI("toy", "captions-text", url="http://far-away.invalid/v1").open(contents)
        assert collect(plan, shown, contents, annotator, store).outcomes["valid"] == 3
    assert seen[0][2] == "http://far-away.invalid/v1/chat/completions"


def test_models_and_fingerprints_of_replies_are_stored(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=9)
    number = iter(range(100))

    def answer(_):
        return 200, reply("B", system_fingerprint="fp_1" if next(number) < 4 else "fp_2"), {}

    with serving(answer) as (url, _), AnswerStore(tmp_path / "a.sqlite") as store:
        collect(plan, shown, contents, OpenAI("toy", "captions-text", url=url, concurrency=1).open(contents), store)
        assert [row[:3] for row in store.served(1)] == [("toy", "fp_1", 4), ("toy", "fp_2", 5)]


# Structured answers, reasoning, Azure


@pytest.mark.parametrize("how", ["json", "choice"])
def test_servers_can_be_made_to_answer_with_a_label(tmp_path, names, captions, how):
    plan, shown, contents = setup(names, captions, n_triplets=6)

    def answer(request):
        if how == "json":
            schema = request["response_format"]["json_schema"]["schema"]
            assert request["max_tokens"] >= 16
            return 200, reply(json.dumps({"answer": schema["properties"]["answer"]["enum"][2]})), {}
        return 200, reply(request["structured_outputs"]["choice"][2]), {}

    with serving(answer) as (url, _), AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-text", url=url, structured=how).open(contents)
        assert collect(plan, shown, contents, annotator, store).outcomes["valid"] == 6
        assert {row[0] for row in store.base.execute("SELECT choice FROM answers")} == {2}
    assert "structured" not in OpenAI("toy", "captions-text").open(contents).identity()


def test_a_model_that_reasons_needs_tokens_and_says_so(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=30)

    def answer(request):
        if request["max_tokens"] < 500:
            return 200, reply("", finish="length", message={"reasoning_content": "Well, the first"}), {}
        return 200, reply("B", message={"reasoning_content": "Well, the answer is A, or not"}), {}

    with serving(answer) as (url, _), AnswerStore(tmp_path / "a.sqlite") as store:
        poor = OpenAI("toy", "captions-text", url=url, concurrency=1)
        progress = collect(plan, shown, contents, poor.open(contents), store)
        assert progress.asked == 20
        assert "reasoning_tokens" in progress.reason
        rich = OpenAI("toy", "captions-text", url=url, reasoning_tokens=1000)
        assert collect(plan, shown, contents, rich.open(contents), store).outcomes["valid"] == 30


def test_azure_is_spoken_natively(tmp_path, names, captions, monkeypatch):
    monkeypatch.setenv("AZURE_KEY", KEY)
    plan, shown, contents = setup(names, captions, n_triplets=3)
    with serving(lambda _: (200, reply("B"), {})) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        where = url.removesuffix("/v1") + "/openai/deployments/gpt"
        settings = OpenAI("gpt", "captions-text", url=where, api_version="2024-10-21", key_variable="AZURE_KEY")
        assert collect(plan, shown, contents, settings.open(contents), store).outcomes["valid"] == 3
    _, headers, path = seen[0]
    assert path == "/openai/deployments/gpt/chat/completions?api-version=2024-10-21"
    assert {key.lower(): value for key, value in headers.items()}["api-key"] == KEY
    assert "Authorization" not in headers


# Vendors, as their own documents say that they answer


def openrouter(request):
    """White space while it waits, the provider's name, and moderation with what was flagged."""
    if "thing 3." in str(request["messages"]):
        metadata = {"reasons": ["violence"], "flagged_input": "...", "provider_name": "OpenAI"}
        return (
            403,
            error("Your chosen model requires moderation and your input was flagged", code=403, metadata=metadata),
            {},
        )
    if "thing 4." in str(request["messages"]):
        return 200, error("Provider returned error", code=429, metadata={"raw": "rate-limited upstream"}), {}
    body = reply("B", provider="DeepInfra", id="gen-1", choice={"native_finish_reason": "stop"},
                 message={"reasoning": None, "refusal": None})  # fmt: skip
    return 200, b"\n         \n" + json.dumps(body).encode(), {}


def gemini(request):
    """Errors in a list, no seed, and a choice without content where a prompt is blocked."""
    if "seed" in request:
        said = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
        return 400, [error(said, code=400, status="INVALID_ARGUMENT")], {}
    if "thing 3." in str(request["messages"]):
        return 200, {"choices": [{"finish_reason": "content_filter", "index": 0, "message": {"role": "assistant"}}]}, {}
    if "thing 4." in str(request["messages"]):
        said = "Resource has been exhausted (e.g. check quota)."
        return 429, [error(said, code=429, status="RESOURCE_EXHAUSTED")], {"Retry-After": "0"}
    return 200, reply("B", model="models/gemini-2.5-flash", usage={"prompt_tokens": 9, "total_tokens": 10}), {}


def anthropic(request):
    """No probabilities, parts of content, an error that names its type, and an overload of its own."""
    if "thing 3." in str(request["messages"]):
        return 200, reply("", finish="refusal", message={"refusal": None}), {}
    if "thing 4." in str(request["messages"]):
        return 529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, {}
    return 200, reply([{"type": "text", "text": "B"}], usage={"prompt_tokens": 9, "completion_tokens": 4,
                      "prompt_tokens_details": None}), {}  # fmt: skip


def litellm(request):
    """Errors of the models behind it, with its own words around them."""
    if "seed" in request:
        said = "litellm.UnsupportedParamsError: bedrock does not support parameters: ['seed'], for model=toy."
        return 400, error(said, type="None", param="None", code="400"), {}
    if "thing 3." in str(request["messages"]):
        said = (
            "litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - The response was filtered"
        )
        return 400, error(said, type=None, param=None, code="400"), {}
    if "thing 4." in str(request["messages"]):
        return 500, error("litellm.InternalServerError: AnthropicError - Overloaded", code="500"), {}
    return 200, reply("B", usage={"prompt_tokens": 9, "completion_tokens": 1, "cost": 0.1}), {}


@pytest.mark.parametrize("vendor", [openrouter, gemini, anthropic, litellm])
def test_compatible_endpoints_of_vendors_are_understood(tmp_path, vendor):
    names = [f"clip{k:02d}" for k in range(8)]
    captions = {name: [f"Somebody does thing {k}."] for k, name in enumerate(names)}
    plan, shown, contents = setup(names, captions, n_triplets=40)
    with serving(vendor) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        settings = OpenAI("toy", "captions-text", url=url, seed=1, tries=1, concurrency=1)
        progress = collect(plan, shown, contents, settings.open(contents), store)
    flagged = (plan.items == 3).any(axis=1)
    busy = (plan.items == 4).any(axis=1) & ~flagged
    assert progress.reason == "finished"
    assert progress.outcomes["refused"] == flagged.sum() > 5
    assert progress.outcomes["error"] == busy.sum() > 5
    assert progress.outcomes["valid"] == 40 - (flagged | busy).sum()
    assert len(seen) == 40 + (vendor in (gemini, litellm))


def test_replicates_of_one_judge_are_asked_apart_and_pooled(tmp_path, names, captions):
    """Persona, temperature, prompt and seed make judges of their own; how reliable each is comes out."""
    from encoding.collection import Source, export, exported, pool
    from encoding.core import Judgments

    plan, shown, contents = setup(names, captions, n_triplets=30)

    def answer(request):
        lines = request["messages"][-1]["content"].splitlines()
        last = max(range(3), key=lambda k: next(line[3:] for line in lines if line.startswith(f"{'ABC'[k]}: ")))
        wrong = request["temperature"] > 1 and sum(map(ord, str(request["messages"]))) % 2
        return 200, reply("ABC"[(last + wrong) % 3]), {}

    replicates = {
        "plain": {}, "painter": {"persona": "You are a painter."}, "again": {"seed": 5},
        "sentence": {"prompt": "captions-text", "reasoning_tokens": 10}, "hot": {"temperature": 1.5},
    }  # fmt: skip
    parts = []
    with serving(answer) as (url, seen), AnswerStore(tmp_path / "a.sqlite") as store:
        for name, more in replicates.items():
            settings = OpenAI("toy", **({"prompt": "captions-text", "url": url, "name": name} | more))
            annotator = settings.open(contents)
            assert collect(plan, shown, contents, annotator, store).outcomes["valid"] == 30
            setting = store.find_setting(annotator.identity())
            export(Source(plan, shown, contents, store, setting, name), tmp_path / name)
            parts.append(exported(tmp_path / name))
    assert len(seen) == 30 * len(replicates)  # none was taken for another
    assert sum("You are a painter." in body["messages"][0]["content"] for body, _, _ in seen) == 30
    pooled, reliability = pool(Judgments.concat(parts))
    assert max(reliability, key=reliability.get) != "hot"
    assert reliability["hot"] < 0.8 < min(value for name, value in reliability.items() if name != "hot")
    assert len(pooled) == 30


if __name__ == "__main__":
    TABLE.write_text(behaviours_as_markdown(), encoding="utf-8")
