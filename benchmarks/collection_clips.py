"""Memory of 4K clips: eight frames taken of one, and requests that hold three of them whole.

    python benchmarks/collection_clips.py [--results benchmarks/results]

Each part runs in a process of its own; given is its largest memory less what it had before. The clips (3,840 x 2,160
pixels, H.264, 10 s) are made here. Requests go to a server on loopback that answers after 0.2 s, at concurrency 64.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from encoding.core import versions
from encoding.io.atomic import write_json, write_text

LOOPBACK = Path(__file__).resolve().parents[1] / "tests" / "collection" / "loopback.py"
N_CLIPS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return WORKERS[options.worker[0]](Path(options.worker[1]))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        make_clips(Path(folder))
        for part in WORKERS:
            command = [sys.executable, __file__, "--worker", part, folder]
            found[part] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            print(part, found[part], flush=True)
    write_json(options.results / "collection_clips.json", found | {"versions": versions()})
    lines = [
        "# Memory of 4K clips", "", "By `benchmarks/collection_clips.py`: the largest memory of a process less what it "
        "had before. Clips have 3,840 x 2,160 pixels and 10 s.", "", "| what | memory (MB) | s |", "|---|---|---|",
        *(f"| {one['what']} | {one['peak_mb']:,.0f} | {one['seconds']:.1f} |" for one in found.values()), "",
    ]  # fmt: skip
    write_text(options.results / "collection_clips.md", "\n".join(lines))


def make_clips(folder: Path) -> None:
    """Write a clip of drifting noise, and copies that differ in their last bytes."""
    import av

    rng = np.random.default_rng(0)
    tile = rng.integers(0, 255, (1080, 1920), dtype=np.uint8)
    with av.open(str(folder / "c0.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=12, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = 3840, 2160, "yuv420p"
        for number in range(120):
            grey = np.roll(tile, number * 3, axis=1).repeat(2, axis=0).repeat(2, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([grey] * 3, axis=2), format="rgb24")))
        container.mux(stream.encode())
    content = (folder / "c0.mp4").read_bytes()
    for number in range(1, N_CLIPS):
        (folder / f"c{number}.mp4").write_bytes(content + bytes([number]) * 8)


def memory() -> float:
    """Return the largest memory so far, in MB; not of getrusage, which counts what the parent held."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def work_frames(folder: Path) -> None:
    from encoding.collection import Framing, take_frames
    from encoding.core import StimulusSet

    empty = np.full(1, "")
    stimuli = StimulusSet(np.array(["c0"]), np.array(["c0.mp4"]), np.full(1, np.nan), empty, empty)
    before, start = memory(), time.perf_counter()
    table = take_frames(stimuli, folder, folder / "cache", Framing(8, 448))
    assert len(table.frames["c0"]) == 8, table.problems
    size = (folder / "c0.mp4").stat().st_size / 1e6
    print(json.dumps({"what": f"8 frames of one clip ({size:.0f} MB)", "peak_mb": memory() - before,
                      "seconds": time.perf_counter() - start}))  # fmt: skip


def work_requests(folder: Path) -> None:
    from encoding.collection import Design, OpenAI, choose, collect, make_plan, of_frames, of_videos
    from encoding.io.judgments.answers import AnswerStore

    names = [f"c{k}" for k in range(N_CLIPS)]
    frames = of_frames(names, {name: [(folder / f"{name}.mp4", name)] for name in names})
    contents = of_videos(frames, {name: (folder / f"{name}.mp4", name) for name in names})
    plan = make_plan(Design(n_triplets=20, order="all"), names)
    shown = choose(plan, contents)
    server = subprocess.Popen([sys.executable, str(LOOPBACK), "--latency", "0.2", "--fixed"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)  # fmt: skip
    url = server.stdout.readline().strip()
    before, start = memory(), time.perf_counter()
    with AnswerStore(folder / "a.sqlite") as store:
        annotator = OpenAI("toy", "frames-letter", url=url, concurrency=64).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
    seconds = time.perf_counter() - start
    server.stdin.close()
    server.wait()
    assert progress.outcomes["valid"] == len(plan), progress
    size = (folder / "c0.mp4").stat().st_size / 1e6
    print(json.dumps({"what": f"{len(plan)} requests with 3 clips of {size:.0f} MB each, concurrency 64",
                      "peak_mb": memory() - before, "seconds": seconds}))  # fmt: skip


WORKERS = {"frames": work_frames, "requests": work_requests}


if __name__ == "__main__":
    main()
