"""What slow tests found, as a table: `ENCODING_ACCIDENTS` names a JSON file, which keeps the tests that ran before."""

import json
import os
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    """Keep the outcome of a test; a skipped one has no call."""
    place = os.environ.get("ENCODING_ACCIDENTS")
    if not place or "slow" not in report.nodeid or (report.when != "call" and report.passed):
        return
    path = Path(place)
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    why = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    found[report.nodeid.split("slow/")[-1]] = {
        "outcome": report.outcome,
        "seconds": round(report.duration),
        **{name: str(value) for name, value in report.user_properties},
        **({"why": why} if why else {}),
    }
    path.write_text(json.dumps(dict(sorted(found.items())), indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table(found), encoding="utf-8")


def table(found):
    """Write the outcomes as a page."""
    lines = [
        "# Accidents of machines",
        "",
        "Made by `make test-slow`: seconds are those of the wall on a busy machine.",
    ]
    lines += ["", "| Test | Outcome | Seconds | Notes |", "| --- | --- | --- | --- |"]
    for name, one in sorted(found.items()):
        notes = "; ".join(f"{key}: {value}" for key, value in one.items() if key not in ("outcome", "seconds"))
        what = name.replace("test_", "").replace(".py::", ": ").replace("_", " ").replace("|", "/")
        lines.append(f"| {what} | {one['outcome']} | {one['seconds']} | {notes} |")
    return "\n".join(lines) + "\n"
