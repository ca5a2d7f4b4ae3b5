"""Print where the time of a run goes: processor seconds of every stage, and the functions that take most of it.

    python benchmarks/stages.py BIDS_DIR CONFIG [SUBJECT]      # one participant; docs/profile.md has the results
    python benchmarks/stages.py BIDS_DIR CONFIG --functions 0  # without the profiler, which makes calls slower

Responses are loaded, models fitted, spaces tested and pictures drawn as `encoding run` does it, in this process, into a
temporary folder, so that nothing is found from before.
"""

import argparse
import cProfile
import json
import pstats
import resource
import tempfile
import time
from pathlib import Path

from encoding import pipeline
from encoding.config.settings import read_config


def stages(study, places, subject, *, profiled=True):
    """Run one participant; return processor seconds by stage, and the profile of everything if it is wanted.

    Python and what `encoding` imports at once come first; libraries that a stage imports count for that stage.
    """
    job = pipeline.Job(study, places, subject, "cpu")
    profile, seconds = cProfile.Profile(), {"start": round(time.process_time(), 2)}

    def timed(name, function, *arguments):
        start = time.process_time()
        found = profile.runcall(function, *arguments) if profiled else function(*arguments)
        seconds[name] = round(time.process_time() - start, 2)
        return found

    timed("features", pipeline.make_spaces, study, places)
    loaded = timed("load", pipeline.load_subject, job)
    fitted = timed("fit", pipeline.fit_subject, job, loaded)
    # Tests are most of what comparing takes; their share is that of the function that does them all.
    inferred = pipeline.infer_all
    spent = []

    def infer(*arguments):
        start = time.process_time()
        found = inferred(*arguments)
        spent.append(time.process_time() - start)
        return found

    pipeline.infer_all = infer
    result = timed("compare", pipeline.compare_subject, job, loaded, fitted)
    pipeline.infer_all = inferred
    seconds["permute"] = round(sum(spent), 2)
    seconds["compare"] = round(seconds["compare"] - seconds["permute"], 2)
    timed("draw", pipeline.map_subject, job, result)
    return seconds, profile


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bids_dir", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("subject", nargs="?", default="01")
    parser.add_argument("--functions", type=int, default=15, help="how many functions are listed; 0 times stages only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        places = pipeline.Places(given.bids_dir, Path(name) / "out", Path(name) / "work")
        study = read_config(given.config)
        seconds, profile = stages(study, places, given.subject, profiled=given.functions > 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "all": round(sum(seconds.values()), 2), "peak_mb": round(peak)}))
    if given.functions:
        pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(given.functions)


if __name__ == "__main__":
    main()
