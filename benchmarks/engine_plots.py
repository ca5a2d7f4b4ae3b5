"""Pictures of what `engine.py` measured."""

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

INK, OURS, OTHER = "#333333", "#0072B2", "#D55E00"
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK})


def draw_all(result, folder):
    if "scaling" in result:
        draw_scaling(result["scaling"], folder / "engine_scaling.png")
    if "wide_growth" in result:
        draw_scaling(result["wide_growth"], folder / "engine_wide_growth.png")
    if "search" in result:
        draw_search(result["search"], folder / "engine_search.png")
    if "memory" in result:
        draw_memory(result["memory"], folder / "engine_memory.png")
    draw_ratios(result["rows"], folder / "engine_ratios.png")


def draw_scaling(found, path):
    found = {name: points for name, points in found.items() if len(points) > 1}
    if not found:
        return
    size = (2.5 * len(found), 2.6)
    axes = plt.subplots(1, len(found), figsize=size, layout="constrained", sharey=True, squeeze=False)[1][0]
    figure = axes[0].figure
    for axis, (name, points) in zip(axes, found.items(), strict=True):
        sizes, seconds = np.array(points).T
        axis.loglog(sizes, seconds, "o-", color=OURS)
        for power, style in ((1, "--"), (2, ":")):
            axis.loglog(sizes, seconds[-1] * (sizes / sizes[-1]) ** power, style, color="#999999", lw=1)
        axis.set_xlabel(name)
        axis.set_xticks(sizes, [f"{size:g}" for size in sizes], rotation=45)
        axis.minorticks_off()
    axes[0].set_ylabel("processor seconds")
    axes[0].text(0.97, 0.04, "dashed: linear\ndotted: quadratic", transform=axes[0].transAxes, ha="right", fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_search(found, path):
    figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    for name, color in (("random", OTHER), ("guided", OURS)):
        curve = np.array(found[name]["curve"])
        axis.plot(np.arange(1, len(curve) + 1), curve, color=color, lw=2)
        axis.annotate(f"{name}, {len(curve)}", (len(curve), curve[-1]), (-4, 6 if name == "guided" else -26),
                      textcoords="offset points", ha="right", color=color)  # fmt: skip
    axis.axhline(found["random"]["curve"][-1], color="#999999", lw=0.8, ls="--")
    axis.set_xscale("log")
    low = np.quantile(found["random"]["curve"], 0.005)
    axis.set_ylim(low, None)
    axis.set_xlabel("candidates that a target tries")
    axis.set_ylabel("best inner score (- error / variance)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_memory(found, path):
    figure, axis = plt.subplots(figsize=(4, 2.8), layout="constrained")
    axis.plot([one["n_targets"] / 1000 for one in found], [one["peak"] / 1e9 for one in found], "o-", color=OURS)
    axis.axhline(1.0, color="#999999", ls="--", lw=0.8)
    axis.set_ylim(0, 1.2)
    axis.set_xlim(0, None)
    axis.set_xlabel("thousand targets")
    axis.set_ylabel("peak memory, GB")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_ratios(rows, path):
    rows = [one for one in rows if one["ratio"]]
    if not rows:
        return
    figure, axis = plt.subplots(figsize=(10, 0.32 * len(rows) + 0.8), layout="constrained")
    short = [one["what"].split("(")[0] for one in rows]
    scaled = [", scaled in every fold" if "scaled in every" in one["what"] else "" for one in rows]
    short = [
        what.split(":")[0] + how if what.startswith("n = ") else what.split(",")[0]
        for what, how in zip(short, scaled, strict=True)
    ]
    names = [f"{one['workload']}: {what.strip()}" for one, what in zip(rows, short, strict=True)]
    ratios = [one["ratio"] for one in rows]
    axis.barh(range(len(names)), ratios, color=OURS, height=0.6)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    for place, ratio in enumerate(ratios):
        axis.annotate(f"{ratio:.1f}x", (ratio, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_xscale("log")
    axis.set_xlim(0.8, max(ratios) * 3)
    axis.axvline(1, color=INK, lw=0.8)
    axis.invert_yaxis()
    axis.set_xlabel("rival: times the processor seconds of the engine", loc="right")
    figure.savefig(path, dpi=110)
    plt.close(figure)
