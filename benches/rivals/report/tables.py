"""Markdown tables of the results. Each function takes what one part measured and gives a text, or raises KeyError if it was not."""

OURS = "shmetrics"
FLOORS = (
    "plain load and store", "lock xadd", "lock xadd and ten nops", "a C call that does nothing", "16-byte compare-and-swap",
    "memcpy of the page", "the same bytes, unprotected",
)  # fmt: skip
PYTHON = "Python prometheus_client, multiprocess"

ROWS = {
    "inc": "held counter, `inc`",
    "lookup": "look-up by three ten-character strings, 100 sets, and `inc`",
    "observe": "histogram, `observe`, 15 equally likely buckets",
    "gauge_set": "held gauge, `set`",
    "gauge_inc": "held gauge, `inc`",
    "index": "look-up by two enums of ten values each, and `inc`",
}


def number(value):
    """Three digits, and no more than there are."""
    if value is None or value != value:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def median(spread):
    """The median, with the quartiles."""
    return f"{number(spread['median'])} ({number(spread['q1'])}–{number(spread['q3'])})"


def name(contestant):
    """Ours in bold, floors in italics."""
    if contestant in FLOORS:
        return f"*{contestant}*"
    return f"**{contestant}**" if contestant.startswith(OURS) else contestant


def table(head, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


def group(contestant):
    """Floors, then ours, then the others."""
    if contestant["name"] in FLOORS:
        return 0
    return 1 if contestant["name"].startswith(OURS) else 2


def rows_by_name(updates):
    return {row["row"]: row["contestants"] for row in updates["rows"]}


def machine(machine, updates):
    kind = "virtual machine" if machine["virtual"] else "machine"
    versions = ", ".join(f"{crate} {version}" for crate, version in machine["versions"].items())
    form = "BENCH_FULL=1 make bench" if machine["full"] else "make bench"
    return (
        f"Measured on {machine['date']} by `{form}`, on a {kind} with {machine['processors']} processors ({machine['cpu']}, "
        f"{machine['family']}), Linux {machine['kernel']}, {machine['libc']}, {machine['rustc'].split(' (')[0]}; "
        f"load average at the start {machine['load']:.1f}. Rounds of updates: {updates['rounds']}, {updates['slice_ms']} ms a slice.\n\n"
        f"Rivals: {versions}."
    )


def best(contestants, key):
    """The least median among the rivals."""
    rivals = [c for c in contestants if group(c) == 2 and key(c) is not None]
    return min(rivals, key=key)


def ours(contestants):
    return next(c for c in contestants if c["name"] == OURS)


def glance_row(what, ours, rival, rival_name, unit=""):
    # To two digits, as it is shown.
    ratio = ours / rival
    verdict = f"{ratio:.2f}" + (" (loss)" if round(ratio, 2) > 1 else "")
    return [what, f"{number(ours)}{unit}", f"{number(rival)}{unit}", rival_name, verdict]


def glance(updates, pages, fresh, memory):
    """Ours beside the best rival of each row."""
    rows = []
    by_name = rows_by_name(updates)
    for row, what in ROWS.items():
        for count, many in (("one", "1 process"), ("two", "2 processes")):
            key = lambda c: c[count]["ns"]["median"]
            rival = best(by_name[row], key)
            rivals = [rival]
            if row == "lookup" and not rival["note"].startswith("compares"):
                rivals.append(best([c for c in by_name[row] if c["note"].startswith("compares")], key))
            for rival in rivals:
                who = f"{rival['name']} ({rival['note']})" if row == "lookup" else rival["name"]
                rows.append(glance_row(f"{what}, {many}", key(ours(by_name[row])), key(rival), who, " ns"))
    for page in pages["pages"]:
        key = lambda c: c["ns_a_line"]["median"]
        rival = best(page["contestants"], key)
        what = f"page of {page['series']:,} {page['kind']}, a line"
        rows.append(glance_row(what, key(ours(page["contestants"])), key(rival), rival["name"], " ns"))
    key = lambda c: c["ns"]["median"]
    rival = best(fresh["contestants"], key)
    rows.append(glance_row("new label set", key(ours(fresh["contestants"])), key(rival), rival["name"], " ns"))
    heaps = [h for h in memory["heaps"] if h["kind"] == "counters" and h["series"] == 100_000]
    rival = min(heaps, key=lambda h: h["bytes_a_series"])
    own = next(o for o in memory["ours"] if o["series"] == 100_000)["resident_a_series"]
    for processes in (1, 8):
        what = f"memory of a counter series (100,000 of them), {processes} process{'es' if processes > 1 else ''} together"
        rows.append(glance_row(what, own, rival["bytes_a_series"] * processes, rival["name"], " B"))
    return table(["", "shmetrics", "best rival", "which", "ours ÷ best"], rows)


def update_table(updates, instructions, row):
    counts = {(c["name"], c["row"]): c["instructions"] for c in (instructions or {}).get("counts", [])}
    rows = []
    contestants = rows_by_name(updates)[row]
    for c in sorted(contestants, key=lambda c: (group(c), c["one"]["ns"]["median"])):
        count = counts.get((c["name"], row))
        note = f" ({c['note']})" if row == "lookup" and c["note"] else ""
        disturbed = "" if c["two"]["undisturbed"] >= 7 else " †"
        rows.append([
            name(c["name"]) + note,
            median(c["one"]["ns"]), number(c["one"]["ratio"]["median"]),
            median(c["two"]["ns"]) + disturbed, number(c["two"]["ratio"]["median"]),
            f"{count:,.0f}" if count is not None else "",
        ])
    head = ["", "one, ns (quartiles)", "÷ `lock xadd`", "two on one metric, ns each", "÷ `lock xadd`", "instructions"]
    text = table(head, rows)
    if any("†" in row[3] for row in rows):
        text += "\n\n† The machine was too busy: the two did not always run at the same time, and the figure is too low."
    return text


def updates(updates, instructions):
    parts = [f"### {what[0].upper() + what[1:]}\n\n{update_table(updates, instructions, row)}" for row, what in ROWS.items()]
    return "\n\n".join(parts)


def crowd(crowd):
    rows = []
    for c in sorted(crowd["contestants"], key=lambda c: (group(c), -c["updates_a_second"][-1]["median"])):
        rates = [f"{number(rate['median'] / 1e6)}" for rate in c["updates_a_second"]]
        rows.append([name(c["name"]), c["sharing"], *rates])
    return table(["million increments a second, all together", "of", *map(str, crowd["sizes"])], rows)


def page_table(pages):
    parts = pages["pages"]
    names = [c["name"] for c in parts[0]["contestants"]]
    head = ["ns a line (quartiles)"] + [f"{part['series']:,} {part['kind']}" for part in parts]
    rows = []
    last = {c["name"]: c["ns_a_line"]["median"] for c in parts[2]["contestants"]}
    for who in sorted(names, key=lambda n: (group({"name": n}), last[n])):
        cells = []
        for part in parts:
            found = [c for c in part["contestants"] if c["name"] == who]
            cells.append(median(found[0]["ns_a_line"]) if found else "")
        rows.append([name(who), *cells])
        if who == "shmetrics":
            first = [median(ours(part["contestants"])["first"]) for part in parts]
            rows.append(["**shmetrics**, the first page after other contestants'", *first])
    return table(head, rows)


def fresh_table(fresh):
    rows = sorted(fresh["contestants"], key=lambda c: (group(c), c["ns"]["median"]))
    return table(["", "ns (quartiles)"], [[name(c["name"]), median(c["ns"])] for c in rows])


def memory_table(memory, python_memory):
    sizes = (10_000, 100_000, 1_000_000)
    resident = {o["series"]: o["resident_a_series"] for o in memory["ours"]}
    used = {o["series"]: o["used_a_series"] for o in memory["ours"]}
    histograms = {o["series"]: o["resident_a_series"] for o in memory["ours_histograms"]}
    cell = lambda values, size: number(values[size]) if size in values else ""
    rows = [
        ["**shmetrics**, resident", "all processes together", *(cell(resident, s) for s in sizes), cell(histograms, 10_000)],
        ["**shmetrics**, in use", "all processes together", *(cell(used, s) for s in sizes), ""],
    ]
    names = dict.fromkeys(h["name"] for h in memory["heaps"])
    by = {(h["name"], h["kind"], h["series"]): h["bytes_a_series"] for h in memory["heaps"]}
    for who in sorted(names, key=lambda n: by.get((n, "counters", 100_000), 0)):
        counters = [number(by[who, "counters", s]) if (who, "counters", s) in by else "" for s in sizes]
        histogram = number(by[who, "histograms", 10_000]) if (who, "histograms", 10_000) in by else ""
        rows.append([who, "each process", *counters, histogram])
    if python_memory:
        total = python_memory["file_bytes"] + python_memory["heap_bytes"]
        rows.append([f"{PYTHON}: file and heap", "each process", number(total), "", "", ""])
    head = ["bytes a series, three labels of ten characters", "of"] + [f"{s:,} counters" for s in sizes] + ["10,000 histograms"]
    return table(head, rows)


def hot_table(memory):
    """Measured here; for 128 processors computed: the cells of a hot series are one for each possible processor."""
    possible = memory["possible_processors"]
    rows = []
    for kind, base in (("counters", 10_000), ("counters", 1_000_000)):
        own = next(o for o in memory["ours"] if o["series"] == base)["resident_a_series"]
        hot = max(memory["hot"]["resident_a_hot_series"], memory["hot"]["used_a_hot_series"])
        rows.append([
            f"{base:,} {kind}", number(own), number(own + hot),
            number(own), number(own + hot / possible * 128),
        ])
    here = f"{possible} processors"
    return table(["resident bytes a series", f"cold, {here}", f"hot, {here}", "cold, 128 (computed)", "hot, 128 (computed)"], rows)


def process_table(memory):
    rows = [
        [p["processes"], f"{p['resident']:,.0f}", f"{p['pss_of_children']:,.0f}", f"{p['page_tables_of_children']:,.0f}"]
        for p in memory["processes"]
    ]
    head = ["processes that have counted in each of 10,000 series", "segment, bytes"]
    return table([*head, "their proportional shares, bytes", "their page tables, bytes"], rows)


STATES = {"idle": "no page", "others": "pages of other metrics", "scraped": "these pages"}


def scraped_table(scraped):
    rows = []
    for c in scraped["contestants"]:
        for state in c["states"]:
            latency = state["latency_ns"]
            rows.append([
                name(c["name"]), STATES[state["scraper"]],
                f"{state['requests_a_second']['median'] / 1e6:.2f}",
                f"{state['of_idle']['median'] * 100:.1f} %", f"{state['of_others']['median'] * 100:.1f} %",
                *(number(latency[q]) for q in ("p50", "p99", "p99.9", "p99.99")),
                number(latency["max"] / 1e6),
            ])
    head = ["", "rendered meanwhile", "M requests/s", "of no page", "of pages of other metrics", "p50, ns", "p99", "p99.9", "p99.99", "max, ms"]
    return table(head, rows)


def worker_table(workers, python):
    rows = []
    theirs = {("living", w["processes"]): w for w in (python or {}).get("living", [])}
    theirs.update({("dead", w["processes"]): w for w in (python or {}).get("dead", [])})
    first = workers["living"][0]["us"]["median"]
    first_python = theirs[("living", 1)]["us"]["median"] if theirs else None
    for state in ("living", "dead"):
        for w in workers[state]:
            who = f"{w['processes']:,} {'living' if state == 'living' else 'have died'}"
            their = theirs.get((state, w["processes"]))
            rows.append([
                who, median(w["us"]), f"{w['us']['median'] / first:.2f}",
                median({q: v / 1e3 for q, v in their["us"].items()}) if their else "",
                f"{their['us']['median'] / first_python:.1f}" if their else "",
            ])
    return table(["workers", "shmetrics, µs a page", "÷ first", "Python, ms a page", "÷ first"], rows)


def fork_table(forks):
    rows = [
        [c["name"], median(c["fork_us"]), median(c["child_ns"]), number(c["faults"]["median"]), f"{c['page_table_bytes']['median']:,.0f}"]
        for c in forks["cases"]
    ]
    return table(["the child does", "fork, µs", "what it does, ns", "page faults", "page tables, bytes more"], rows)
