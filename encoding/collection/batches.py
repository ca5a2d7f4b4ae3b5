"""Batch files of vendors: requests as lines of JSON, answered within a day at half the price.

A batch is a file ``batches/NAME-0001.jsonl`` in the folder of the collection, with one request per line, whose
``custom_id`` says which trial and attempt it is. What became of a file is kept beside it in ``NAME-0001.json``. Trials
that wait in a batch are not asked by other means, and their answers go into the same store.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..core import ConfigError, DataError, versions
from ..io.atomic import write_json, write_text
from ..io.judgments.answers import AnswerStore
from .client import Failed
from .openai import PATH, ChatAnnotator
from .runner import CODES, remaining
from .study import Opened
from .trials import Answer, Stopped, Trial

MOST_REQUESTS = 50_000  # of one file, and the bytes that vendors allow
MOST_BYTES = 190_000_000
OVER = ("completed", "failed", "expired", "cancelled")
FLUSH = 5_000  # answers that are written at once
IN_PART = "read in part"
LOST = Answer("error", detail="the batch ended without a result for this request")


def write_batches(opened: Opened, name: str = "", *, most: int = 0, retry: tuple[str, ...] = ()) -> list[Path]:
    """Write the trials that are neither answered nor in a batch already as batch files.

    Parameters
    ----------
    opened : Opened
        The plan.
    name : str, optional
        Annotator of the kind "openai", whose prompt has one turn.
    most : int, optional
        Trials at most; 0 for all.
    retry : tuple of str, optional
        Outcomes that are asked again.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ConfigError
        If the annotator cannot be asked by files.

    Examples
    --------
    >>> import shutil
    >>> from encoding.collection import write_batches
    >>> shutil.rmtree("captioned")  # as if nothing had been asked
    >>> fresh, _ = plan_collection(captioned.collection)
    >>> (file,) = write_batches(fresh)
    >>> len(file.read_text().splitlines())  # one request for each triplet
    20
    """
    annotator = _chat(opened, name)
    folder = _folder(opened)
    with opened.store() as store, store.alone():
        setting = store.setting(annotator.identity(), annotator.name)
        contents = opened.what.contents
        rows, attempts, *_ = remaining(opened.plan, opened.shown, contents, store, setting, opened.asking(retry=retry))
        states = [state for _, state in _states(folder, annotator) if not state["over"]]
        under_way = {key for state in states for key in _asked(folder / state["file"])}
        numbers = store.contents(contents.digests, contents.owners).tolist()
        files: list[Path] = []
        lines: list[str] = []
        size = n = 0
        for row in rows.tolist():
            trial = _trial(opened, row)
            key = _custom_id(setting, [numbers[i] for i in trial.shown], trial.repeat, int(attempts[row]))
            if key in under_way:
                continue
            body = annotator.request(trial)
            line = f'{{"custom_id":"{key}","method":"POST","url":"/v1{PATH}","body":{body}}}\n'
            if lines and (len(lines) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
                files.append(_write(folder, annotator, lines))
                lines, size = [], 0
            lines.append(line)
            size += len(line)
            n += 1
            if n == most:
                break
        if lines:
            files.append(_write(folder, annotator, lines))
    return files


def send_batches(opened: Opened, name: str = "") -> list[dict[str, Any]]:
    """Upload the files that have not been sent, and start a batch for each.

    Parameters
    ----------
    opened : Opened
        The plan.
    name : str, optional
        Annotator.

    Returns
    -------
    list of dict
        State of every file that was sent: "file", "batch", "status".

    Examples
    --------
    >>> import shutil
    >>> from encoding.collection import send_batches, write_batches
    >>> shutil.rmtree("captioned")  # as if nothing had been asked
    >>> fresh, _ = plan_collection(captioned.collection)
    >>> files = write_batches(fresh)
    >>> try:
    ...     send_batches(fresh, "a-model")  # no server listens at the address of this annotator
    ... except encoding.EncodingError as error:
    ...     print(error)
    http://127.0.0.1:9/v1/files: ClientConnectorError: Cannot connect to host 127.0.0.1:9 ...
    """
    annotator = _chat(opened, name)
    folder = _folder(opened)
    unsent = [(path, state) for path, state in _states(folder, annotator) if not state["batch"] and not state["over"]]
    return asyncio.run(_send(annotator, folder, unsent))


async def _send(
    annotator: ChatAnnotator, folder: Path, unsent: list[tuple[Path, dict[str, Any]]]
) -> list[dict[str, Any]]:
    done = []
    async with annotator.ready():
        for path, state in unsent:
            if not state["upload"]:
                uploaded = await annotator.client.upload(folder / state["file"])
                state["upload"] = str(uploaded["id"])
                write_json(path, state)  # a file that is there is not sent twice if what follows fails
            asked = {"input_file_id": state["upload"], "endpoint": f"/v1{PATH}", "completion_window": "24h"}
            made = await annotator.client.call("/batches", asked)
            state |= {"batch": str(made["id"]), "status": str(made.get("status", ""))}
            write_json(path, state)
            done.append(state)
    return done


def fetch_batches(opened: Opened, name: str = "", *, wait: float = 0.0) -> list[dict[str, Any]]:
    """Query the state of batches, and read the results of finished ones into the store.

    Parameters
    ----------
    opened : Opened
        The plan.
    name : str, optional
        Annotator.
    wait : float, optional
        Seconds between questions until all are over; 0 to ask once.

    Returns
    -------
    list of dict
        State of every batch: "file", "batch", "status", "read" (answers).

    Examples
    --------
    >>> from encoding.collection import fetch_batches, write_batches
    >>> files = write_batches(captioned)
    >>> fetch_batches(captioned, "a-model")[0]["status"]  # there, but not sent yet
    'written'
    """
    annotator = _chat(opened, name)
    return asyncio.run(_fetch(opened, annotator, wait))


async def _fetch(opened: Opened, annotator: ChatAnnotator, wait: float) -> list[dict[str, Any]]:
    folder = _folder(opened)
    async with annotator.ready():
        while True:
            under_way = 0
            for path, state in _states(folder, annotator):
                if not state["batch"] or state["over"]:
                    continue
                found = await annotator.client.call(f"/batches/{state['batch']}")
                detail = annotator.redact(str(found.get("errors") or ""))
                state |= {"status": str(found.get("status", "")), "detail": detail}
                if state["status"] not in OVER:
                    under_way += 1
                    write_json(path, state)
                    continue
                results = path.with_suffix(".results.jsonl")
                with results.open("wb") as stream:
                    for key in ("output_file_id", "error_file_id"):
                        if found.get(key):
                            await annotator.client.download(f"/files/{found[key]}/content", stream)
                            stream.write(b"\n")  # where the last line of a file has no end
                n_read = read_results(opened, annotator, results, folder / state["file"])
                write_json(path, state | {"read": n_read, "over": True})
            if not under_way or not wait:
                return [state for _, state in _states(folder, annotator)]
            await asyncio.sleep(wait)


def read_batch(opened: Opened, name: str, results: str | Path, *, final: bool = False) -> int:
    """Read a file of batch results that was downloaded by hand.

    Requests without a result in it go on waiting: they may be in another file, of errors or the second half.

    Parameters
    ----------
    opened : Opened
        The plan.
    name : str
        Annotator.
    results : str or Path
        Lines of JSON, each with "custom_id" and "response" or "error".
    final : bool, optional
        Whether there are no further files: requests of the batch without a result end as errors.

    Returns
    -------
    int
        Answers that were new.

    Examples
    --------
    >>> import json
    >>> from encoding.collection import read_batch, write_batches
    >>> files = write_batches(captioned)  # none is new if they were written before
    >>> requests = Path("captioned/batches/a-model-0001.jsonl").read_text().splitlines()
    >>> answer = {"choices": [{"message": {"content": "B"}, "finish_reason": "stop"}]}
    >>> keys = [json.loads(line)["custom_id"] for line in requests]
    >>> with open("replies.jsonl", "w") as stream:
    ...     for key in keys:
    ...         print(json.dumps({"custom_id": key, "response": {"status_code": 200, "body": answer}}), file=stream)
    >>> read_batch(captioned, "a-model", "replies.jsonl")  # answers
    20
    """
    annotator, folder = _chat(opened, name), _folder(opened)
    file = Path(results)
    if not file.is_file():
        raise DataError(f"{file}: no such file. It is what the vendor offers to download for a batch.")
    given = {_content(line, f"{file}: line {number}")[0] for number, line in enumerate(_lines(file), start=1)}
    if not given:
        raise DataError(f"{file}: no result of a batch in it.")
    n_new = read_results(opened, annotator, file, None)
    for path, state in _states(folder, annotator):
        asked = _asked(folder / state["file"])
        if state["over"] or not given & asked:
            continue
        left = _without_answer(opened, annotator, asked)
        if left and final:
            _lose(opened, annotator, left)
        over = final or not left
        read = len(asked) - len(left)  # answered, however often a file of them was read
        write_json(path, state | {"read": read, "over": over, "status": "read by hand" if over else IN_PART})
    return n_new


def _without_answer(opened: Opened, annotator: ChatAnnotator, asked: set[str]) -> list[str]:
    """Return the requests that the store holds no answer to."""
    names = ("setting", "first", "second", "third", "repeat", "attempt")
    found = f"SELECT 1 FROM answers WHERE {' AND '.join(f'{name} = ?' for name in names)}"
    with opened.store() as store:
        store.setting(annotator.identity(), annotator.name)
        return [key for key in sorted(asked)
                if store.base.execute(found, tuple(map(int, key.split("-")[1:]))).fetchone() is None]  # fmt: skip


def unread(opened: Opened, name: str) -> int:
    """Return how many requests have no result yet, of batches of which some results were read by hand."""
    annotator, folder = _chat(opened, name), _folder(opened)
    files = [state["file"] for _, state in _states(folder, annotator) if state["status"] == IN_PART]
    return sum(len(_without_answer(opened, annotator, _asked(folder / file))) for file in files)


def _lose(opened: Opened, annotator: ChatAnnotator, keys: list[str]) -> None:
    """End requests without a result as errors."""
    with opened.store() as store, store.alone():
        setting = store.setting(annotator.identity(), annotator.name)
        run = store.start_run(setting, {"batch": "without a result", "versions": versions()})
        store.write([_row(store, setting, run, key, LOST, Path("batch")) for key in keys], run=run, requests=0)
        store.counts(setting)


def read_results(opened: Opened, annotator: ChatAnnotator, results: Path, asked: Path | None) -> int:
    """Read results into the store; requests of the file that have none end as errors."""
    with opened.store() as store, store.alone():
        setting = store.setting(annotator.identity(), annotator.name)
        run = store.start_run(setting, {"batch": results.name, "versions": versions()})
        missing = _asked(asked) if asked is not None else set()
        rows, n_new, n_requests = [], 0, 0
        for number, line in enumerate(_lines(results), start=1):
            key, answer = _result(annotator, line, f"{results}: line {number}")
            missing.discard(key)
            rows.append(_row(store, setting, run, key, answer, results))
            n_requests += 1
            if len(rows) == FLUSH:
                n_new += store.write(rows, run=run, requests=n_requests)
                rows = []
        rows += [_row(store, setting, run, key, LOST, results) for key in sorted(missing)]
        n_new += store.write(rows, run=run, requests=n_requests)
        store.counts(setting)
    return n_new


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        yield from (line for line in stream if line.strip())


def _content(line: str, where: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a request and its result."""
    try:
        content = json.loads(line)
        return str(content["custom_id"]), content
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{where} is no result of a batch ({type(error).__name__}: {error}).") from None


def _result(annotator: ChatAnnotator, line: str, where: str) -> tuple[str, Answer]:
    key, content = _content(line, where)
    response = content.get("response")
    if not isinstance(response, dict):
        detail = annotator.redact(json.dumps(content.get("error")))[:300]
        return key, Answer("error", detail=f"no response: {detail}", tries=1)
    body = response.get("body")
    text = body if isinstance(body, str) else json.dumps(body)
    status = response.get("status_code", 200)
    if not isinstance(status, int):
        return key, Answer(
            "error", detail=f"{str(status)[:40]!r} is no status: {annotator.redact(text)[:300]}", tries=1
        )
    try:
        return key, annotator.answer(status, text.encode("utf-8", "replace"))
    except Stopped as error:  # an answer without probabilities, which is paid for; the other lines are read
        return key, Answer("unparsed", detail=str(error)[:300], tries=1)
    except Failed as error:
        return key, Answer("refused" if error.refused else "error", detail=str(error), tries=1)


def _row(store: AnswerStore, setting: int, run: int, key: str, answer: Answer, results: Path) -> tuple[Any, ...]:
    try:
        number, *contents, repeat, attempt = map(int, key.split("-")[1:])
    except ValueError:
        number, contents = -1, []
    if number != setting or len(contents) != 3:
        raise DataError(f"{results}: {key!r} is no request of this annotator in {store.path}.")
    p = answer.probabilities or (None, None, None)
    return (
        setting, *contents, repeat, attempt, run, CODES[answer.outcome], answer.choice, *p, answer.mass, answer.reply,
        answer.detail, answer.tokens_in, answer.tokens_cached, answer.tokens_out, answer.tries, answer.latency,
        time.time(), answer.served, "", None,
    )  # fmt: skip


def _custom_id(setting: int, contents: list[int], repeat: int, attempt: int) -> str:
    return "-".join(map(str, ("t", setting, *contents, repeat, attempt)))


def _chat(opened: Opened, name: str) -> ChatAnnotator:
    annotator = opened.annotator(name)
    if not isinstance(annotator, ChatAnnotator) or not annotator.one_turn:
        raise ConfigError(
            f'Batch files are for annotators of kind "openai" whose prompt has one turn; {annotator.name!r} is none.'
        )
    return annotator


def _trial(opened: Opened, row: int) -> Trial:
    a, b, c = opened.plan.items[row].tolist()
    x, y, z = opened.shown[row].tolist()
    return Trial(row, (a, b, c), (x, y, z), int(opened.plan.repeat[row]))


def _folder(opened: Opened) -> Path:
    return opened.collection.folder / "batches"


def _key(annotator: ChatAnnotator) -> str:
    return hashlib.sha256(json.dumps(annotator.identity(), sort_keys=True).encode()).hexdigest()[:16]


def _write(folder: Path, annotator: ChatAnnotator, lines: list[str]) -> Path:
    number = len(list(folder.glob("*.jsonl"))) + 1
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in annotator.name)
    path = folder / f"{kept}-{number:04d}.jsonl"
    write_text(path, "".join(lines))
    state = {"file": path.name, "annotator": _key(annotator), "requests": len(lines), "upload": "", "batch": "",
             "status": "written", "read": 0, "over": False}  # fmt: skip
    write_json(path.with_suffix(".json"), state)
    return path


def _states(folder: Path, annotator: ChatAnnotator) -> list[tuple[Path, dict[str, Any]]]:
    found = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]
    return [(path, state) for path, state in found if state.get("annotator") == _key(annotator)]


def _asked(path: Path) -> set[str]:
    return {line[14 : line.index('"', 14)] for line in _lines(path)}


def waiting(opened: Opened, annotator: Any) -> np.ndarray:
    """Return contents and repeat of the trials that wait in batches, as int64 of shape (n, 4)."""
    found: list[list[int]] = []
    if isinstance(annotator, ChatAnnotator):
        folder = _folder(opened)
        for _, state in _states(folder, annotator):
            if not state["over"]:
                found += [[int(part) for part in key.split("-")[2:6]] for key in _asked(folder / state["file"])]
    return np.array(found, dtype=np.int64).reshape(-1, 4)
