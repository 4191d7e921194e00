"""The plots, as SVG that is the same for the same results."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

import tables

INK, GRID, OURS, FLOOR = "#24292f", "#d8dee4", "#cf222e", "#8c959f"
# Colours that differ for all eyes (Okabe and Ito), in the order of the contestants.
RIVALS = {
    "prometheus": ("#0072b2", "o"),
    "prometheus-client": ("#009e73", "s"),
    "measured": ("#e69f00", "^"),
    "fastmetrics": ("#56b4e9", "D"),
    "foundations-metrics": ("#7a4fb5", "v"),
    "metrics + exporter": ("#cc79a7", "P"),
    "prometheus-cpp": ("#8a6d3b", "X"),
    tables.PYTHON: ("#57606a", "*"),
}
STYLES = {
    "shmetrics": {"color": OURS, "linewidth": 3, "marker": "o", "markersize": 6, "zorder": 10},
    "shmetrics, C ABI": {"color": OURS, "linewidth": 1.8, "linestyle": "--", "marker": "o", "markersize": 4, "zorder": 9},
    "plain load and store": {"color": FLOOR, "linewidth": 1.5, "linestyle": ":"},
    "lock xadd": {"color": FLOOR, "linewidth": 1.5, "linestyle": "--"},
    "memcpy of the page": {"color": FLOOR, "linewidth": 1.5, "linestyle": "--"},
}

plt.rcParams.update({
    "svg.hashsalt": "shmetrics", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 10,
    "axes.edgecolor": GRID, "axes.labelcolor": INK, "axes.titlecolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left", "figure.facecolor": "white",
})


def style(name):
    if name in STYLES:
        return STYLES[name]
    color, marker = RIVALS.get(name, ("#57606a", "."))
    return {"color": color, "linewidth": 1.6, "marker": marker, "markersize": 5}


def axes(ax, title, x, y, ticks, label=str):
    ax.set_title(title, pad=12)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(int(value))))
    ax.grid(True, color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)


def figure(width=9.0, height=4.8, columns=1):
    return plt.subplots(1, columns, figsize=(width, height), layout="constrained")


def legend(ax):
    """In the order of the lines' right ends."""
    handles, labels = ax.get_legend_handles_labels()
    order = sorted(range(len(handles)), key=lambda i: -handles[i].get_ydata()[-1])
    ax.legend([handles[i] for i in order], [labels[i] for i in order], loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def save(fig, path):
    fig.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(fig)


def thousands(value):
    return f"{value // 1_000_000}M" if value >= 1_000_000 else f"{value // 1000}k" if value >= 1000 else str(value)


def increments(crowd, path):
    fig, ax = figure()
    for c in crowd["contestants"]:
        rates = [rate["median"] / 1e6 for rate in c["updates_a_second"]]
        label = f"{c['name']} ({c['sharing']})" if c["name"] not in tables.FLOORS else c["name"]
        ax.plot(crowd["sizes"], rates, label=label, **style(c["name"]))
    title = "Increments of one counter, all processes or threads together"
    axes(ax, title, "processes (or threads, where a library has no processes)", "million increments a second", crowd["sizes"])
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    legend(ax)
    save(fig, path)


def render(pages, path):
    fig, ax = figure()
    counters = [page for page in pages["pages"] if page["kind"] == "counters"]
    sizes = [page["series"] for page in counters]
    for name in [c["name"] for c in counters[0]["contestants"]]:
        points = [(p["series"], c["ns_a_line"]["median"] * c["lines"] / 1e6) for p in counters for c in p["contestants"] if c["name"] == name]
        ax.plot(*zip(*points), label=name, **style(name))
    axes(ax, "Time to render a page of counters", "series with three labels", "milliseconds", sizes, thousands)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    legend(ax)
    save(fig, path)


def memory(memory, python, path):
    fig, (left, right) = figure(12.5, 4.8, 2)
    ours = [(o["series"], o["resident_a_series"] * o["series"] / 2**20) for o in memory["ours"]]
    left.plot(*zip(*ours), label="shmetrics", **style("shmetrics"))
    names = dict.fromkeys(h["name"] for h in memory["heaps"])
    by = {(h["name"], h["series"]): h["bytes_a_series"] for h in memory["heaps"] if h["kind"] == "counters"}
    for name in names:
        points = [(n, by[name, n] * n / 2**20) for n in (10_000, 100_000, 1_000_000) if (name, n) in by]
        left.plot(*zip(*points), label=name, **style(name))
    axes(left, "Memory of counter series, one process", "series with three labels", "MiB", [o[0] for o in ours], thousands)

    sizes = [p["processes"] for p in memory["processes"]]
    right.plot(sizes, [p["resident"] / 2**20 for p in memory["processes"]], label="shmetrics", **style("shmetrics"))
    for name in names:
        right.plot(sizes, [by[name, 10_000] * 10_000 * n / 2**20 for n in sizes], label=name, **style(name))
    if python:
        each = (python["file_bytes"] + python["heap_bytes"]) * 10_000 / 2**20
        right.plot(sizes, [each * n for n in sizes], label=tables.PYTHON, **style(tables.PYTHON))
    axes(right, "Memory of 10,000 counter series, all processes", "processes", "MiB, all together", sizes)
    for ax in (left, right):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    legend(right)
    save(fig, path)


def workers(workers, python, path):
    fig, (left, right) = figure(12.5, 4.4, 2)
    for ax, state in ((left, "living"), (right, "dead")):
        for name, result in (("shmetrics", workers), (tables.PYTHON, python)):
            points = [(w["processes"], w["us"]["median"] / 1e3) for w in (result or {}).get(state, [])]
            if points:
                ax.plot(*zip(*points), label=name, **style(name))
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes(left, "A page, while workers live", "living workers", "milliseconds a page", [w["processes"] for w in workers["living"]])
    ticks = [w["processes"] for w in workers["dead"]]
    axes(right, "A page, after workers have died", "dead workers", "milliseconds a page", ticks, lambda v: f"{v:,}")
    low, high = (f(ax.get_ylim()[i] for ax in (left, right)) for f, i in ((min, 0), (max, 1)))
    for ax in (left, right):
        ax.set_ylim(low, high)
    legend(right)
    save(fig, path)


def draw(found, directory):
    """All plots for which there are results."""
    if "crowd" in found:
        increments(found["crowd"], directory / "increments.svg")
    if "pages" in found:
        render(found["pages"], directory / "render.svg")
    if "memory" in found:
        memory(found["memory"], found.get("python_memory"), directory / "memory.svg")
    if "workers" in found:
        workers(found["workers"], found.get("python_workers"), directory / "workers.svg")
