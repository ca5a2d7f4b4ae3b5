"""Requests per second of processor time of several versions, in turns: captions, and 24 frames.

    python benchmarks/collection_versions.py CHECKOUT [CHECKOUT ...] [--rounds 3] [--results benchmarks/results]

Each checkout is the root of a version of this project. A server on loopback answers at once; counted is the processor
time of the collecting process alone: schedule, request, client, reading and store.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SERVER = """
import asyncio, json, sys
TOP = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -3.0}]
MESSAGE = {"message": {"content": "A"}, "finish_reason": "stop",
           "logprobs": {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": TOP}]}}
BODY = json.dumps({"choices": [MESSAGE], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}).encode()
REPLY = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(BODY) + BODY

async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
            lengths = [line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length")]
            await reader.readexactly(int(lengths[0]) if lengths else 0)
            writer.write(REPLY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 26)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work()
    found = {}
    for _ in range(options.rounds):
        for checkout in options.checkouts:
            command = [sys.executable, __file__, "--worker"]
            env = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            for kind, rate in json.loads(done.stdout).items():
                found.setdefault(checkout.name, {}).setdefault(kind, []).append(rate)
            print(checkout, done.stdout, end="")
    text = json.dumps({"load": os.getloadavg()[0], "per_cpu_second": found}, indent=1)
    (options.results / "collection_versions.json").write_text(text + "\n", encoding="utf-8")


def work() -> None:
    from PIL import Image

    from encoding.collection import Design, OpenAI, choose, collect, make_plan, of_captions, of_frames
    from encoding.io.judgments.answers import AnswerStore

    names = [f"clip{i:04d}" for i in range(200)]
    rates = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder, rng, frames = Path(temporary), np.random.default_rng(0), {}
        for i, name in enumerate(names[:40]):
            frames[name] = [(folder / f"{i}-{k}.jpg", f"{i}-{k}") for k in range(8)]
            for path, _ in frames[name]:
                Image.fromarray(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(path, quality=60)
        captions = {name: [f"Somebody {i} walks along a street and looks up."] for i, name in enumerate(names)}
        for kind, contents, n in (
            ("captions", of_captions(names, captions), 4000),
            ("frames", of_frames(names[:40], frames), 400),
        ):
            plan = make_plan(Design(kind="random", n_triplets=n), contents.stimuli)
            shown = choose(plan, contents)
            server = subprocess.Popen(
                [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            with AnswerStore(folder / f"{kind}.sqlite") as store:
                annotator = OpenAI("toy", f"{kind}-letter", url=server.stdout.readline().strip()).open(contents)
                start = time.process_time()
                done = collect(plan, shown, contents, annotator, store)
                rates[kind] = n / (time.process_time() - start)
            assert done.asked == n, done
            server.stdin.close()
            server.wait()
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
