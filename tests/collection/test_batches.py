"""Batch files: written, uploaded, fetched, each trial answered once, whatever the server makes of it."""

import json
import uuid

import pytest
from test_command import COSINE, MODEL, write
from test_servers import error, reply, serving

from encoding.cli import main
from encoding.collection import open_collection
from encoding.config.collect import read_collection
from encoding.core.judgments import OUTCOMES


class Vendor:
    """Speaks the batch API: uploads as forms, batches that take two questions, files of results and of errors."""

    def __init__(self, answer):
        self.answer, self.files, self.batches, self.n_live = answer, {}, {}, 0

    def __call__(self, handler, method, path, body):
        path = path.removeprefix("/v1")
        if method == "POST" and path == "/files":
            boundary = handler.headers["Content-Type"].split("boundary=")[1].strip('"').encode()
            (part,) = [part for part in body.split(b"--" + boundary) if b'name="file"' in part]
            assert any(b"batch" in other for other in body.split(b"--" + boundary) if b'name="purpose"' in other)
            key = f"file-{uuid.uuid4().hex[:8]}"
            self.files[key] = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            return 200, {"id": key}
        if method == "POST" and path == "/batches":
            asked = json.loads(body)
            key = f"batch-{len(self.batches)}"
            self.batches[key] = {"id": key, "status": "validating", "input": asked["input_file_id"], "asked": 0}
            return 200, self.batches[key]
        if path.startswith("/batches/"):
            return 200, self._look(path.removeprefix("/batches/"))
        if path.startswith("/files/"):
            return 200, self.files[path.split("/")[2]]
        if path == "/chat/completions":
            self.n_live += 1
            return 200, reply("A")
        return 200, {"data": []}

    def _look(self, key):
        batch = self.batches[key]
        batch["asked"] += 1
        if batch["asked"] == 1:
            return batch | {"status": "in_progress"}
        if "output_file_id" not in batch:
            good, bad = [], []
            for line in self.files[batch["input"]].decode().splitlines():
                request = json.loads(line)
                assert request["method"] == "POST"
                assert request["url"] == "/v1/chat/completions"
                status, body = self.answer(request["body"])
                if status is None:
                    continue
                entry = {
                    "custom_id": request["custom_id"],
                    "response": {"status_code": status, "body": body},
                    "error": None,
                }
                (good if status == 200 else bad).append(json.dumps(entry))
            self.files["out"], self.files["bad"] = "\n".join(good).encode(), "\n".join(bad).encode()
            batch |= {"status": "completed", "output_file_id": "out", "error_file_id": "bad"}
        return batch


@pytest.fixture
def vendor():
    def answer(body):
        text = body["messages"][-1]["content"]
        if "A: Somebody does thing 3." in text:
            return 400, error("flagged by the content policy")
        if "A: Somebody does thing 4." in text:
            return None, None  # the batch ends without it
        return 200, reply("B")

    return Vendor(answer)


def test_batches_are_written_sent_fetched_and_mixed_with_live_requests(tmp_path, capsys, vendor):
    with serving(vendor, whole=True) as (url, _):
        config = write(tmp_path, MODEL.format(url=url).replace("captions-letter", "captions-text"), show="captions")
        command = ["collect", "batch", "--config", config]
        assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
        assert main([*command, "write", "--most", "80"]) == 0
        assert main([*command, "write", "--most", "20"]) == 0
        files = sorted((tmp_path / "out" / "batches").glob("*.jsonl"))
        asked = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
        assert len(files) == 2
        assert len({entry["custom_id"] for entry in asked}) == len(asked) == 100
        assert main(["collect", "run", "--config", config]) == 0
        assert vendor.n_live == 39  # what waits in batches is not asked
        assert main([*command, "send"]) == 0
        assert main([*command, "send"]) == 0  # nothing is sent twice
        assert len(vendor.batches) == 2
        capsys.readouterr()
        assert main([*command, "fetch"]) == 0
        assert "in_progress" in capsys.readouterr().out
        assert main([*command, "fetch", "--wait", "0.01"]) == 0
        assert "completed, 80 requests, 80 answers read" in capsys.readouterr().out
        assert main([*command, "fetch"]) == 0
        assert main(["collect", "run", "--config", config]) == 0
        assert vendor.n_live == 39
    from encoding.collection import open_collection

    with open_collection(read_collection(config)).store(read_only=True) as store:
        counts, spent = store.counts(1), store.spent(1)
    lost = sum("A: Somebody does thing 4." in entry["body"]["messages"][-1]["content"] for entry in asked)
    flagged = sum("A: Somebody does thing 3." in entry["body"]["messages"][-1]["content"] for entry in asked)
    assert counts == {"valid": 139 - lost - flagged, "refused": flagged, "unparsed": 0, "truncated": 0, "error": lost}
    assert lost
    assert flagged
    assert spent["tokens_in"] == 9 * counts["valid"]


def test_results_that_were_downloaded_by_hand_are_read(tmp_path, capsys):
    config = write(tmp_path, MODEL.format(url="http://127.0.0.1:9/v1"), show="captions")
    main(["collect", "plan", "--config", config, "--dry-run", "0"])
    main(["collect", "batch", "write", "--config", config, "--most", "3"])
    (path,) = (tmp_path / "out" / "batches").glob("*.jsonl")
    top = [{"token": "A", "logprob": -0.2}, {"token": "C", "logprob": -2.0}]
    body = reply("A", logprobs={"content": [{"token": "A", "logprob": -0.2, "top_logprobs": top}]})
    bodies = [body, "<html>", {"choices": [{"message": {"content": [[]]}}]}]
    with (tmp_path / "results.jsonl").open("w", encoding="utf-8") as stream:
        for line, content in zip(path.read_text(encoding="utf-8").splitlines(), bodies, strict=True):
            key = json.loads(line)["custom_id"]
            stream.write(json.dumps({"custom_id": key, "response": {"status_code": 200, "body": content}}) + "\n")
    capsys.readouterr()
    read = ["collect", "batch", "read", "--config", config, "--file", str(tmp_path / "results.jsonl")]
    assert main(read) == 0
    assert "3 answers are new" in capsys.readouterr().out
    assert main(read) == 0
    assert "0 answers are new" in capsys.readouterr().out
    assert main(["collect", "status", "--config", config]) == 0
    (tmp_path / "results.jsonl").write_text('{"custom_id": "t-9-1-2-3-0-0", "response": {}}\n', encoding="utf-8")
    assert main(read) == 1
    assert "no request of this annotator" in capsys.readouterr().err


def test_trials_that_wait_are_not_answers_of_which_none_is_valid(tmp_path, capsys):
    config = write(tmp_path, MODEL.format(url="http://127.0.0.1:9/v1"), show="captions")
    main(["collect", "plan", "--config", config, "--dry-run", "0"])
    main(["collect", "batch", "write", "--config", config])
    capsys.readouterr()
    assert main(["collect", "run", "--config", config]) == 0
    said = capsys.readouterr()
    assert "139 wait in batches" in said.out
    assert "none of its answers is valid" not in said.err
    assert main(["collect", "all", "--config", config]) == 1
    assert "all 139 trials of 'toy/model-1' wait in batches" in " ".join(capsys.readouterr().err.split())


def test_results_that_are_read_twice_count_once(tmp_path):
    config = write(tmp_path, MODEL.format(url="http://127.0.0.1:9/v1"), show="captions")
    main(["collect", "plan", "--config", config, "--dry-run", "0"])
    main(["collect", "batch", "write", "--config", config, "--most", "3"])
    (path,) = (tmp_path / "out" / "batches").glob("*.jsonl")
    keys = [json.loads(line)["custom_id"] for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({"custom_id": key, "response": {"status_code": 401, "body": {}}}) for key in keys[:2]]
    (tmp_path / "results.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for _ in range(2):
        assert main(["collect", "batch", "read", "--config", config, "--file", str(tmp_path / "results.jsonl")]) == 0
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["read"] == 2
    with read_collection_store(config) as store:  # what a server refused to answer is an error, which nobody paid for
        assert store.counts(1)["error"] == 2


def test_halves_of_results_and_odd_lines_lose_nothing_that_was_paid(tmp_path, capsys):
    """The rest of a batch ended as errors when the first file of two was read, and kept out what the second held."""
    config = write(tmp_path, MODEL.format(url="http://127.0.0.1:9/v1"), show="captions")
    main(["collect", "plan", "--config", config, "--dry-run", "0"])
    main(["collect", "batch", "write", "--config", config, "--most", "6"])
    (path,) = (tmp_path / "out" / "batches").glob("*.jsonl")
    keys = [json.loads(line)["custom_id"] for line in path.read_text(encoding="utf-8").splitlines()]
    top = [{"token": "A", "logprob": -0.2}, {"token": "C", "logprob": -2.0}]
    good = reply("A", logprobs={"content": [{"token": "A", "logprob": -0.2, "top_logprobs": top}]})
    responses = [{"status_code": 200, "body": good}, {"status_code": None, "body": good},
                 {"status_code": 200, "body": reply("A")}, {"status_code": 200, "body": good}]  # fmt: skip
    lines = [json.dumps({"custom_id": key, "response": what}) for key, what in zip(keys, responses, strict=False)]
    lines.append(json.dumps({"custom_id": keys[4], "response": None, "error": {"code": "batch_expired"}}))
    results = tmp_path / "results.jsonl"
    capsys.readouterr()

    def read(text, *more):
        results.write_text(text, encoding="utf-8")
        status = main(["collect", "batch", "read", "--config", config, "--file", str(results), *more])
        return status, " ".join("".join(capsys.readouterr()).split())

    for text, said in (("", "no result of a batch in it"), ("<html>\n", "line 1 is no result of a batch"),
                       ("[1]\n", "line 1 is no result of a batch")):  # fmt: skip
        status, found = read(text)
        assert status == 1
        assert said in found
    status, found = read("\ufeff" + "\n".join(lines[:2]) + "\n")
    assert status == 0
    assert "2 answers are new" in found
    assert "4 requests have no result yet" in found
    status, found = read("\n".join(lines[2:]) + "\n")
    assert "3 answers are new" in found
    assert "1 requests have no result yet" in found
    status, found = read(lines[0] + "\n", "--final")
    assert (status, "no result yet" in found) == (0, False)
    with read_collection_store(config) as store:
        found = store.base.execute("SELECT outcome, detail FROM answers ORDER BY id").fetchall()
    outcomes = [OUTCOMES[outcome] for outcome, _ in found]
    assert outcomes == ["valid", "error", "unparsed", "valid", "error", "error"]
    assert "is no status" in found[1][1]
    assert "batch_expired" in found[4][1]
    assert "ended without a result" in found[5][1]
    results.unlink()
    assert main(["collect", "batch", "read", "--config", config, "--file", str(results)]) == 1
    assert "no such file" in capsys.readouterr().err


def read_collection_store(config):
    return open_collection(read_collection(config)).store()


def test_computed_judges_have_no_batches(tmp_path, capsys):
    config = write(tmp_path, COSINE)
    main(["collect", "plan", "--config", config, "--dry-run", "0"])
    assert main(["collect", "batch", "write", "--config", config]) == 1
    assert 'kind "openai"' in capsys.readouterr().err


def test_what_a_server_says_of_an_upload_is_told(tmp_path, capsys):
    with serving(lambda *_: (403, error("no batches for you")), whole=True) as (url, _):
        config = write(tmp_path, MODEL.format(url=url), show="captions")
        main(["collect", "plan", "--config", config, "--dry-run", "0"])
        main(["collect", "batch", "write", "--config", config])
        assert main(["collect", "batch", "send", "--config", config]) == 1
    assert "no batches for you" in capsys.readouterr().err
