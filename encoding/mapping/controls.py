"""What the report says of controls and noise ceilings."""

from collections.abc import Sequence

import pandas as pd

from ..drawing import report as page
from .results import Result

VISION = "vision"  # knows of the stimuli, so that it is no leak where it predicts; told apart


def controls_line(results: Sequence[Result]) -> str:
    """Summarise in one line whether the controls are at chance; "" without controls."""
    tested: dict[str, list[str]] = {}  # participants above chance, by control
    untested: dict[str, str] = {}
    made = [result for result in results if result.summary.controls is not None]
    for result in made:
        for control in result.summary.controls.found:  # type: ignore[union-attr]
            if control.why_not:
                untested.setdefault(control.name, control.why_not)
                continue
            above = tested.setdefault(control.name, [])
            if control.above_chance:
                above.append(f"sub-{result.subject}")
    if not made:
        return ""
    seen = tested.pop(VISION, None)
    flagged = [f"{name} ({', '.join(who)})" for name, who in tested.items() if who]
    rest = [name for name, who in tested.items() if not who]
    line = "Controls: none could be tested"
    if flagged:
        line = f"Controls predict responses above chance: {'; '.join(flagged)}"
        line += f"; not above chance: {', '.join(rest)}" if rest else ""
    elif rest:
        line = f"Controls ({', '.join(rest)}): none predicts responses above chance"
    known = {*tested, *([VISION] if seen is not None else [])}
    missing = [f"{name} ({why})" for name, why in untested.items() if name not in known]
    line += f". Not tested: {'; '.join(missing)}." if missing else "."
    if seen:
        line += (
            f" Low-level vision (luminance, contrast, edges, change) predicts responses above chance "
            f"({', '.join(seen)}): declare it in [compare] nuisance to see what spaces explain beyond it."
        )
    elif seen is not None:
        line += " Low-level vision (luminance, contrast, edges, change) is not above chance."
    return line


def controls_table(results: Sequence[Result]) -> list[page.Block]:
    """Table of all controls and autocorrelations; none where none were made."""
    made = [result for result in results if result.summary.controls is not None]
    rows = [
        (
            f"sub-{result.subject}", control.name, control.meaning, control.n_features, control.r, control.shared,
            control.p, control.why_not or ("above chance" if control.above_chance else "not above chance"),
        )
        for result in made
        for control in result.summary.controls.found  # type: ignore[union-attr]
    ]  # fmt: skip
    if not rows:
        return []
    columns = ["participant", "control", "features of", "number", "mean r", "shared by runs", "p", "verdict"]
    frame = pd.DataFrame(rows, columns=columns)
    caption = (
        "Controls: features without information about the stimuli. r: held-out, at a fixed penalty, mean over "
        f"{made[0].summary.controls.n_targets} targets. Above chance: p at most 0.05 over the number of controls."  # type: ignore[union-attr]
    )
    formats = {"mean r": ".3f", "shared by runs": ".4f", "p": ".3f"}
    lags = [
        {"participant": f"sub-{result.subject}", **result.summary.controls.autocorrelation}  # type: ignore[union-attr]
        for result in made
    ]
    lag_frame = pd.DataFrame(lags)
    told = "Correlation of neighbouring samples within runs (lag 1), of responses and of features"
    of_lags = dict.fromkeys(lag_frame.columns[1:], ".2f")
    return [
        page.DataTable(frame.astype(dict.fromkeys(formats, float)), caption, formats=formats),
        page.DataTable(lag_frame.astype(dict.fromkeys(of_lags, float)), told, formats=of_lags),
    ]


def ceiling_line(results: Sequence[Result]) -> str:
    """Summarise the noise ceilings of all participants, or why there are none; "" where nothing was fitted."""
    parts = []
    for result in results:
        ceiling = result.summary.ceiling
        if ceiling is None:
            continue
        if ceiling.why_not:
            parts.append((f"sub-{result.subject}", f"Noise ceiling: none, {ceiling.why_not}."))
            continue
        parts.append((
            f"sub-{result.subject}",
            f"Noise ceiling from {ceiling.n_stimuli} repeated stimuli, and for these: {ceiling.n_usable} of "
            f"{ceiling.n_targets} targets are reliable enough to be divided by it (median ceiling of r there "
            f"{ceiling.median:.2f}).",
        ))  # fmt: skip
    texts = list(dict.fromkeys(text for _, text in parts))
    return texts[0] if len(texts) == 1 else " ".join(f"{who}: {text}" for who, text in parts)
