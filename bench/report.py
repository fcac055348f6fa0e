#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes docs/performance.md, with its plots, of what measure.py wrote; prints the same tables."""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys


# --- figures -------------------------------------------------------------------------------------


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    q = statistics.quantiles(values, n=4, method="inclusive")
    return q[0], q[2]


def ratios(above, below):
    """Of the same rounds: what the machine did meanwhile hit both."""
    return [a / b for a, b in zip(above, below)]


def with_spread(values, digits):
    low, high = quartiles(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# --- plots ---------------------------------------------------------------------------------------


def plot(path, title, x_label, y_label, lines, y_from_zero=True, log_y=False):
    """`lines`: {name: [(x, y, low, high), …]}. x is logarithmic."""
    script = [
        "set terminal svg size 760,420 background rgb 'white' font 'sans,12'",
        f"set output '{path}'",
        f"set title '{title}'",
        f"set xlabel '{x_label}'",
        f"set ylabel '{y_label}'",
        "set logscale x 2" if max(p[0] for l in lines.values() for p in l) <= 4096 else "set logscale x 10",
        "set grid",
        "set key outside right",
    ]
    if log_y:
        script.append("set logscale y 10")
    elif y_from_zero:
        script.append("set yrange [0:*]")
    parts = []
    for i, (name, points) in enumerate(lines.items()):
        script.append(f"$d{i} << END")
        script += [" ".join(str(v) for v in p) for p in points]
        script.append("END")
        # gnuplot takes _ for the beginning of an index.
        shown = name.replace("_", " ")
        parts.append(f"$d{i} using 1:2:3:4 with yerrorlines title '{shown}' pointtype 7 pointsize 0.4")
    script.append("plot " + ", ".join(parts))
    subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)


# --- parts of the page ---------------------------------------------------------------------------


class Page:
    def __init__(self, plots):
        self.text = []
        self.plots = plots  # folder, or None
        self.targets = []

    def add(self, *lines):
        self.text += lines

    def picture(self, name, *arguments, **options):
        if self.plots is None:
            return
        plot(os.path.join(self.plots, name), *arguments, **options)
        self.add(f"![{arguments[0]}](performance/{name})", "")

    def target(self, what, target, got, met):
        self.targets.append([what, target, got, "met" if met else "**not met**"])

    def not_measured(self, what, target):
        self.targets.append([what, target, "–", "**not measured**"])


def overhead_targets(page, r):
    if r["provider"] != "spdk":
        return
    for name, least, what in [("co_await", 0.92, "`co_await` on the run loop ÷ raw callbacks, I/O per second"),
                              ("asio_callback", 0.88, "`asio_callback` ÷ raw callbacks"),
                              ("asio_awaitable", 0.60, "`asio_awaitable` ÷ raw callbacks")]:
        each = [statistics.median(ratios(c["ns"]["raw"], c["ns"][name])) for c in r.get("overhead", [])]
        if each:
            page.target(f"{what}, at the worst depth", f"≥ {least:.2f}", f"{min(each):.2f}", min(each) >= least)
        else:
            page.not_measured(f"{what}, at the worst depth", f"≥ {least:.2f}")


def overhead(page, r):
    overhead_targets(page, r)
    if "overhead" not in r:
        return
    provider = r["provider"]
    names = list(r["candidates"])
    page.add("### Time for each I/O on a null device", "")
    page.add(
        f"4 KiB reads, one core, {r['count']:,} I/O in each of {r['rounds']} rounds, the candidates by turns. "
        "Nanoseconds: the median, and in brackets the quartiles. A ratio is one of I/O per second "
        "against raw callbacks in the same round: more is better, 1 is no overhead.", "")
    names = [n for n in ["raw", "co_await", "co_await_token", "start", "sender", "asio_callback", "asio_awaitable",
                         "naive"] if n in names]
    page.add(table(["candidate", "what"], [[f"`{n}`", r["candidates"][n]] for n in names]))
    rows = []
    for case in r["overhead"]:
        rows.append([case["depth"]] + [with_spread(case["ns"][n], 1) for n in names])
    page.add(table(["depth"] + [f"`{n}`, ns" for n in names], rows))
    rows = []
    for case in r["overhead"]:
        raw = case["ns"]["raw"]
        rows.append([case["depth"]] + [with_spread(ratios(raw, case["ns"][n]), 2) for n in names[1:]])
    page.add(table(["depth"] + [f"`{n}` ÷ raw" for n in names[1:]], rows))

    def points(n):
        out = []
        for case in r["overhead"]:
            low, high = quartiles(case["ns"][n])
            out.append((case["depth"], statistics.median(case["ns"][n]), low, high))
        return out

    if r.get("overhead_large_cache"):
        case = r["overhead_large_cache"]["overhead"][0]
        page.add(f"The same at depth {case['depth']}, where each thread keeps more bdev_ios at hand than are in flight "
                 f"(`bdev_io_cache_size` {r['overhead_large_cache']['cache']}; SPDK's default is 256).", "")
        page.add(table(["depth"] + [f"`{n}`, ns" for n in names] + [f"`{n}` ÷ raw" for n in names[1:]],
                       [[case["depth"]] + [with_spread(case["ns"][n], 1) for n in names] +
                        [with_spread(ratios(case["ns"]["raw"], case["ns"][n]), 2) for n in names[1:]]]))
    page.picture(f"{provider}-overhead.svg", f"Time for each I/O, null device, {provider}", "I/O in flight", "ns",
                 {n: points(n) for n in names}, log_y=True)


def counted_targets(page, r):
    at = r.get("counts", {}).get("instructions", {}).get("32")
    for name, most, what in [("co_await", 45, "without a token"), ("co_await_token", 75, "with a stoppable token")]:
        what = f"added instructions for each I/O, depth 32, {what} ({r['provider']})"
        if at:
            added = at[name] - at["raw"]
            page.target(what, f"≤ {most}", f"{added:.0f}", added <= most)
        else:
            page.not_measured(what, f"≤ {most}")
    what = f"heap allocations for each I/O: `co_await`, `sender`, `start` with state kept by the caller ({r['provider']})"
    allocations = r.get("counts", {}).get("allocations")
    if allocations:
        most = max(allocations[n] for n in ["co_await", "co_await_token", "sender", "start"])
        page.target(what, "0", f"{most:.2f}", most == 0)
    else:
        page.not_measured(what, "0")


def counted(page, r):
    counted_targets(page, r)
    counts = r.get("counts")
    if not counts:
        return
    names = [n for n in r["candidates"]]
    names = ["raw"] + [n for n in names if n != "raw"]
    page.add("### Instructions and heap allocations for each I/O", "")
    if counts.get("skipped"):
        page.add(f"Instructions: not run ({counts['skipped']}).", "")
    if counts["instructions"]:
        page.add("Counted by callgrind, as the difference of two run lengths; in brackets, what is added to raw "
                 "callbacks.", "")
        rows = []
        for depth, each in counts["instructions"].items():
            rows.append([depth] + [
                f"{each[n]:.0f}" + (f" (+{each[n] - each['raw']:.0f})" if n != "raw" else "") for n in names])
        page.add(table(["depth"] + [f"`{n}`" for n in names], rows))
    page.add(table(["heap allocations"] + [f"`{n}`" for n in names],
                   [["for each I/O"] + [f"{counts['allocations'][n]:.2f}" for n in names]]))


# What functions belong to, by what their names hold; the first that fits. (The provider's is C.)
PARTS = {"the benchmark": "bench::", "the library": "spdk_io::", "Asio": "asio::", "the provider": ""}


def without_arguments(name):
    """A function's name without those of the call and of templates."""
    depth = 0
    kept = ""
    for c in name:
        depth += c in "(<"
        if depth == 0:
            kept += c
        depth -= c in ")>"
    return kept.replace("(anonymous namespace)", "").strip()


def short_name(name):
    """Without namespaces as well."""
    kept = without_arguments(name)
    words = [w for w in kept.split("::") if w and not w.startswith("_ZN")]
    return "::".join(words[-2:]) if words else name


def profiled(page, r):
    profile = r.get("counts", {}).get("profile")
    if not profile:
        return
    page.add("Where they go, at depth 32: the benchmark's own code, the library's, Asio's, and the provider's (the C "
             "library included), for each I/O.", "")
    groups = {}
    ours = {}
    for candidate, each in profile.items():
        sums = dict.fromkeys(PARTS, 0.0)
        for name, value in each.items():
            # A coroutine of the benchmark has the operation's making and its result inlined.
            outer = without_arguments(name)
            group = next((part for part, mark in PARTS.items() if mark in outer), "the provider")
            sums[group] += value
            if group != "the provider":
                ours.setdefault(short_name(name), {}).setdefault(candidate, 0.0)
                ours[short_name(name)][candidate] += value
        groups[candidate] = sums
    names = list(profile)
    page.add(table([""] + [f"`{n}`" for n in names],
                   [[g] + [f"{groups[n][g]:.0f}" for n in names] for g in PARTS]))
    rows = sorted(ours.items(), key=lambda item: -max(item[1].values()))
    page.add(table(["function"] + [f"`{n}`" for n in names],
                   [[f"`{function}`"] + [f"{each.get(n, 0):.0f}" for n in names]
                    for function, each in rows if max(each.values()) >= 2]))


GROWTH = 1.15  # instructions for each I/O, compared with raw callbacks under the same circumstances


def growth_target(page, r, what, rows):
    """The worst of `rows`, or that there are none."""
    each = [row["instructions"]["co_await"] / row["instructions"]["raw"] for row in rows if row["instructions"]]
    what = f"instructions for each I/O at {what} ÷ raw ({r['provider']})"
    if each:
        page.target(what, f"≤ {GROWTH}", f"{max(each):.2f}", max(each) <= GROWTH)
    else:
        page.not_measured(what, f"≤ {GROWTH}")


def growth_table(first, rows, names, further):
    """`further`: {heading: f(row)}. Without what could not be counted."""
    with_instructions = any(row["instructions"] for row in rows)
    head = [first]
    if with_instructions:
        head += [f"`{n}`, instructions" for n in names] + [f"`{n}` ÷ raw" for n in names[1:]]
    head += [f"`{n}`, bytes" for n in names] + list(further)
    out = []
    for row in rows:
        cells = [f"{row.get('depth', row.get('number')):,}"]
        if with_instructions:
            each = row["instructions"]
            cells += [f"{each[n]:.0f}" if each else "–" for n in names]
            cells += [f"{each[n] / each['raw']:.2f}" if each else "–" for n in names[1:]]
        cells += [f"{row['bytes'][n]:.0f}" if n in row["bytes"] else "–" for n in names]
        out.append(cells + [f(row) for f in further.values()])
    return table(head, out)


def why_not_counted(page, rows):
    for why in sorted({row["skipped"] for row in rows if row.get("skipped")}):
        page.add(f"Instructions: not run ({why}).", "")


def growing(page, r):
    rows = r.get("growth", [])
    names = ["raw", "co_await", "co_await_token"]
    if rows or r.get("spread"):
        page.add("### Growth", "")
    if rows:
        page.add("Instructions for each I/O, and heap bytes for each that is in flight or waits for memory. SPDK's pool "
                 "has 65,535 bdev_ios unless told otherwise: beyond that, I/O waits.", "")
        why_not_counted(page, rows)
        page.add(growth_table("in flight or waiting", rows, names, {}))
    far = [row for row in rows if row["depth"] >= 1000]
    most = far[-1]["depth"] if far else 1_000_000
    growth_target(page, r, f"1,000 … {most:,} in flight or waiting", far)
    for what in ("devices", "threads"):
        spread(page, r, what, names)


SPREAD = {
    "devices": "Over more and more null devices, which are read from in turn: 32 in flight in all, on one SPDK thread. "
               "In the last columns, the heap bytes that one more device takes, open and with a channel.",
    "threads": "Over more and more SPDK threads, which one OS thread polls: 32 in flight on each. In the last columns, "
               "the heap bytes that one more thread takes, with a poller task where it is the library's.",
}


def spread(page, r, what, names):
    rows = r.get("spread", {}).get(what, [])
    most = rows[-1]["number"] if rows else {"devices": 1000, "threads": 32}[what]
    growth_target(page, r, f"1 … {most:,} {'devices' if what == 'devices' else 'SPDK threads'}", rows)
    if not rows:
        return
    one = what[:-1]
    page.add(SPREAD[what], "")
    why_not_counted(page, rows)
    page.add(growth_table(what, rows, names, {
        "`raw`, ns": lambda row: with_spread(row["ns"]["raw"], 1),
        **{f"`{n}` ÷ raw, I/O per second":
           lambda row, n=n: with_spread(ratios(row["ns"]["raw"], row["ns"][n]), 2) for n in names[1:]},
        f"one more {one}, SPDK's bytes": lambda row: f"{row[one]['raw']:,.0f}",
        "the library's besides": lambda row: f"{row[one]['library'] - row[one]['raw']:,.0f}",
    }))
    counted_here = all(row["instructions"] for row in rows)

    def points(n):
        if counted_here:
            return [(row["number"],) + (row["instructions"][n],) * 3 for row in rows]
        return [(row["number"], statistics.median(row["ns"][n]), *quartiles(row["ns"][n])) for row in rows]

    page.picture(f"{r['provider']}-{what}.svg", f"Each I/O over many {what}, null devices, {r['provider']}",
                 "devices" if what == "devices" else "SPDK threads", "instructions" if counted_here else "ns",
                 {n: points(n) for n in names})


def scaling(page, r):
    part = r.get("scaling")
    what = f"cache lines written for each I/O that another OS thread touches, more than with raw callbacks ({r['provider']})"
    shared = (part or {}).get("sharing", {}).get("lines")
    if shared:
        more = len(shared["co_await"]) - len(shared["raw"])
        page.target(what, "0", f"{max(more, 0)}", more <= 0)
    else:
        page.not_measured(what, "0")
    if not part:
        return
    page.add("### Over OS threads", "",
             f"Each has an SPDK thread, a core and a channel of its own, and {part['depth']} I/O in flight on the one null "
             f"device: {part['count']:,} I/O on each, in each of {part['rounds']} rounds. Millions of I/O per second in all; "
             "then against raw callbacks on as many threads, and against as many times one thread.", "")
    names = ("raw", "co_await")
    one = {n: statistics.median(part["rows"][0]["iops"][n]) for n in names}
    rows = []
    for row in part["rows"]:
        each = row["iops"]
        rows.append([row["threads"]] + [with_spread([v / 1e6 for v in each[n]], 2) for n in names] +
                    [with_spread(ratios(each["co_await"], each["raw"]), 2)] +
                    [f"{statistics.median(each[n]) / one[n] / row['threads'] * part['rows'][0]['threads']:.2f}"
                     for n in names])
    page.add(table(["OS threads", "`raw`", "`co_await`", "`co_await` ÷ `raw`", "`raw` ÷ threads × one",
                    "`co_await` ÷ threads × one"], rows))
    sharing_table(page, part["sharing"])


def sharing_table(page, part):
    if part.get("skipped"):
        page.add(f"Shared cache lines: not run ({part['skipped']}).", "")
    if not part["lines"]:
        return
    page.add(f"Cache lines that one of {part['threads']} threads writes and another one reads or writes, each more often "
             f"than {part['limit']:g} times for each I/O: all memory accesses of {part['count']:,} I/O on each thread were "
             "traced (`scripts/check-sharing`). `shared` is `co_await` with a counter that all threads add to, to see "
             "that it is found.", "")
    rows = []
    for candidate, lines in part["lines"].items():
        for line in lines:
            by = "; ".join(f"{each['what']} by `{short_name(each['function'])}`" for each in line["by"])
            rows.append([f"`{candidate}`", f"`{short_name(line['where'])}`", f"{line['per_io']:.2f}", by])
        if not lines:
            rows.append([f"`{candidate}`", "none", "", ""])
    page.add(table(["candidate", "line", "for each I/O", "by"], rows))


def messages(page, r):
    what = f"`call` round trip ÷ raw message round trip, time ({r['provider']})"
    if "messages" not in r:
        if r["provider"] == "spdk":
            page.not_measured(what, "≤ 1.15")
        return
    ns = r["messages"]["ns"]
    page.add("### Messages between two OS threads", "",
             "Round trips one after another, and messages one way in bursts of 256; both sides poll without a pause.", "")
    pairs = [("round trip", "raw", "call"), ("one way", "raw_send", "send")]
    page.add(table(["", "SPDK's own, ns", "the library's, ns", "library ÷ SPDK (time)"],
                   [[what, with_spread(ns[raw], 0), f"`{ours}`: " + with_spread(ns[ours], 0),
                     with_spread(ratios(ns[ours], ns[raw]), 2)] for what, raw, ours in pairs]))
    if r["provider"] != "spdk":
        return
    got = statistics.median(ratios(ns["call"], ns["raw"]))
    page.target(what, "≤ 1.15", f"{got:.2f}", got <= 1.15)


def streams(page, r):
    if "streams" not in r:
        return
    page.add("### Streams and sinks", "",
             "`read_stream` and `write_sink` against a loop by hand over the same operations: one coroutine for each chunk "
             "in flight, without an order among them. Both sides of the writes copy what they write.", "")
    rows = []
    worst = {"read_stream": [], "write_sink": []}
    for case in r["streams"]["cases"]:
        row = [case["device"], f"{case['chunk'] // 1024} KiB", str(case["depth"])]
        for hand, ours in (("read_by_hand", "read_stream"), ("write_by_hand", "write_sink")):
            speed = ratios(case["ns"][hand], case["ns"][ours])
            row += [with_spread(case["ns"][hand], 0), with_spread(case["ns"][ours], 0), with_spread(speed, 2)]
            worst[ours].append(statistics.median(speed))
        rows.append(row)
    page.add(table(["device", "chunk", "depth", "read by hand, ns", "`read_stream`, ns", "throughput ÷ by hand",
                    "written by hand, ns", "`write_sink`, ns", "throughput ÷ by hand"], rows))
    for name, each in worst.items():
        page.target(f"`{name}` ÷ a loop by hand, throughput, at the worst case ({r['provider']})", "≥ 0.95",
                    f"{min(each):.2f}", min(each) >= 0.95)
    ns = r["streams"]["channel"]["ns"]
    trips = ratios(ns["channel"], ns["raw"])
    page.add("A round trip between two OS threads, through two channels for one element each:", "",
             table(["SPDK's own message, ns", "`channel`, ns", "channel ÷ SPDK (time)"],
                   [[with_spread(ns["raw"], 0), with_spread(ns["channel"], 0), with_spread(trips, 2)]]))
    got = statistics.median(trips)
    page.target(f"`channel` round trip ÷ raw message round trip, time ({r['provider']})", "≤ 1.15", f"{got:.2f}",
                got <= 1.15)


def sizes(page, r):
    if r.get("frames"):
        page.add("### A coroutine that waits for I/O", "",
                 "Bytes of the frame of a `task<>` that loops over reads, with one await and with more.", "")
        page.add(table(["compiler", "operation", "one await", "two", "three"],
                       [[name, f["operation"], f["one"], f["two"], f["three"]] for name, f in r["frames"].items()]))
    for name, most in [("clang", 224), ("gcc", 280)]:
        what = f"bytes of a coroutine that waits on an I/O, one await, {name} ({r['provider']})"
        if name in r.get("frames", {}):
            got = r["frames"][name]["one"]
            page.target(what, f"≤ {most}", got, got <= most)
        else:
            page.not_measured(what, f"≤ {most}")
    if r.get("small"):
        s = r["small"]
        page.add("### A small program", "", "One read: `bench/small_cpp.cpp`, and `bench/small_c.c` on the C API.", "")
        page.add(table(["", "compile time, s", "size, stripped, KiB"],
                       [[name, with_spread(s["compile_seconds"][name], 2), f"{s['bytes'][name] / 1024:.0f}"]
                        for name in s["bytes"]]))


def files_table(cases):
    names = [n for n in cases[0]["iops"] if n != "liburing_again"]
    others = [n for n in names if n != "spdk_io"]
    control = "liburing_again" in cases[0]["iops"]
    rows = []
    for case in cases:
        row = [f"{case['rw']}, {case['size'] // 1024} KiB, depth {case['depth']}"]
        row += [f"{with_spread([v / 1000 for v in case['iops'][n]], 1)}; "
                f"{statistics.median(case['cpu_us_per_io'][n]):.1f} µs" for n in names]
        row += [with_spread(ratios(case["iops"]["spdk_io"], case["iops"][n]), 2) for n in others]
        if control:
            row.append(with_spread(ratios(case["iops"]["liburing_again"], case["iops"]["liburing"]), 2))
        rows.append(row)
    return table([""] + [f"`{n}`" for n in names] + [f"`spdk_io` ÷ `{n}`" for n in others] +
                 (["`liburing` ÷ itself"] if control else []), rows)


def files_targets(page, r, cases):
    for name, least in [("fio", 0.95), ("liburing", 0.97)]:
        each = [statistics.median(ratios(c["iops"]["spdk_io"], c["iops"][name])) for c in cases if name in c["iops"]]
        what = f"file device ÷ {name}, at the worst case ({r['provider']})"
        if each:
            page.target(what, f"≥ {least}", f"{min(each):.2f}{files_control(cases)}", min(each) >= least)
        else:
            page.not_measured(what, f"≥ {least}")


def files_control(cases):
    """What the worst case is of two that are equal."""
    each = [statistics.median(ratios(c["iops"]["liburing_again"], c["iops"]["liburing"]))
            for c in cases if "liburing_again" in c["iops"]]
    return f" (liburing ÷ itself: {min(each):.2f})" if each else ""


def files(page, r):
    if r["provider"] == "spdk":
        return  # it has a device of its own for files
    part = r.get("files", {"cases": []})
    files_targets(page, r, part["cases"])
    if not part["cases"] and not part.get("skipped"):
        return
    page.add("### Files", "", "I/O per second on the same file and the same core (thousands), and CPU time for each I/O.", "")
    for what, why in part.get("skipped", {}).items():
        page.add(f"Not run: {what} ({why}).", "")
    if not part["cases"]:
        return
    page.add(files_table(part["cases"]))
    if part.get("holes"):
        page.add("Reads of a file without content, which no disk has to answer: what the ways themselves cost.", "",
                 files_table(part["holes"]))


def bdevperf_targets(page, r):
    if r["provider"] != "spdk":
        return
    at = [case["iops"] for case in r.get("bdevperf", {}).get("cases", []) if case["depth"] == 32]
    for name, least, what in [("raw", 1.2, "raw baseline ÷ bdevperf, depth 32 (is the baseline honest?)"),
                              ("co_await", 1.15, "`co_await` ÷ bdevperf, depth 32")]:
        if at:
            got = statistics.median(ratios(at[0][name], at[0]["bdevperf"]))
            page.target(what, f"≥ {least}", f"{got:.2f}", got >= least)
        else:
            page.not_measured(what, f"≥ {least}")


def tools(page, r):
    bdevperf_targets(page, r)
    for what, key in (("bdevperf", "bdevperf"), ("NVMe/TCP", "nvme_tcp")):
        if r.get(key, {}).get("skipped"):
            page.add(f"{what}: not run ({r[key]['skipped']}).", "")
    part = r.get("bdevperf")
    if part and part.get("cases"):
        page.add("### SPDK's own bdevperf, null device", "",
                 "I/O per second in millions, and ratios to bdevperf.", "")
        rows = []
        for case in part["cases"]:
            each = case["iops"]
            rows.append([case["depth"]] + [with_spread([v / 1e6 for v in each[n]], 2) for n in ("bdevperf", "raw", "co_await")] +
                        [with_spread(ratios(each[n], each["bdevperf"]), 2) for n in ("raw", "co_await")])
        page.add(table(["depth", "bdevperf", "`raw`", "`co_await`", "`raw` ÷ bdevperf", "`co_await` ÷ bdevperf"], rows))
    part = r.get("nvme_tcp")
    if part and part.get("cases"):
        page.add("### NVMe/TCP over loopback", "", "Thousands of I/O per second.", "")
        rows = []
        for case in part["cases"]:
            names = list(case["iops"])
            rows.append([case["depth"]] + [with_spread([v / 1000 for v in case["iops"][n]], 1) for n in names] +
                        [with_spread(ratios(case["iops"]["spdk_io"], case["iops"][n]), 2) for n in names if n != "spdk_io"])
        names = list(part["cases"][0]["iops"])
        page.add(table(["depth"] + [f"`{n}`" for n in names] + [f"`spdk_io` ÷ `{n}`" for n in names if n != "spdk_io"], rows))


def section(page, r):
    m = r["machine"]
    page.add(f"## On {r['provider_version']}", "")
    page.add(f"Measured on {r['date']}: {m['cpu']}, {m['cores']} cores{', a virtual machine' if m['virtual'] else ''}, "
             f"Linux {m['kernel']}; {r['compiler']}, release build.", "")
    if r["provider"] != "spdk":
        page.add("lite's null device is not SPDK's: what is added to it counts here, not the ratios.", "")
    for part in (overhead, counted, profiled, growing, scaling, messages, streams, sizes, files, tools):
        part(page, r)


def causes():
    """In words: the figures are in the tables."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "causes.md")) as f:
        return f.read()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("results", nargs="+", help="JSON of measure.py")
    options.add_argument("--page", help="write it there, and the plots into the folder performance beside it")
    o = options.parse_args()
    plots = None
    if o.page:
        plots = os.path.join(os.path.dirname(os.path.abspath(o.page)), "performance")
        os.makedirs(plots, exist_ok=True)
    page = Page(plots)
    for path in o.results:
        with open(path) as f:
            section(page, json.load(f))
    head = ["# Performance", "",
            "Made by `scripts/bench`, which measures everything in one run: no figure here was typed. "
            "[bench/](../bench) has the programs, [performance/](performance) the raw figures of each round.", "",
            "## Targets", "", table(["what", "target", "measured", ""], page.targets),
            "## What is not met, and why", "", causes()]
    text = "\n".join(head + page.text).rstrip("\n") + "\n"
    if o.page:
        with open(o.page, "w") as f:
            f.write(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
