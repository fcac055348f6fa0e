# SPDX-License-Identifier: BSD-3-Clause
"""The tables of what loops.py measured; tests/conformance/table.py puts them on the page."""

import report

# Of a core, where there is nothing to do.
_MOST = {"interrupt": 0.01, "backoff": 0.03}
# SPDK's other devices have a poller and no file: with one of them a thread cannot sleep in it.
_SLEEPS_ON = {"spdk": ["aio"]}


def _policies(loops, part):
    return list(dict.fromkeys(p for each in loops.values() for p in each.get(part, {})))


def _any(loops, part):
    """One that did not fail, for what is the same for all."""
    return next(got for each in loops.values() for got in each[part].values() if "failed" not in got)


def _figures(got, form):
    if got is None:
        return "–"
    return "**failed**" if "failed" in got else form(got)


def _latency(got):
    text = f"{got['p50']:.1f} / {got['p99']:.1f} / {got['max']:.0f}"
    return f"{text} ({got['preempted']})" if "preempted" in got else text


def _latencies(loops, part):
    policies = _policies(loops, part)
    rows = [[name] + [_figures(each.get(part, {}).get(p), _latency) for p in policies] for name, each in loops.items()]
    head = ["executor"] + ["without I/O" if p == "alone" else f"`{p}`" for p in policies]
    return report.table(head, rows).splitlines()


def _throughput(loops):
    policies = _policies(loops, "throughput")
    rows = []
    for name, each in loops.items():
        row = [name]
        for p in policies:
            got = each["throughput"].get(p)
            row.append(_figures(got, lambda g: report.with_spread(g["loop"], 1)))
            row.append(_figures(got, lambda g: report.with_spread(report.ratios(g["run_loop"], g["loop"]), 2)))
        rows.append(row)
    head = ["executor"]
    for p in policies:
        head += [f"`{p}`, ns", f"`{p}` ÷ run loop"]
    return report.table(head, rows).splitlines()


def _idle(loops):
    lines = []
    for policy in _policies(loops, "idle"):
        of_policy = {name: each["idle"][policy] for name, each in loops.items() if policy in each["idle"]}
        devices = list(next(iter(of_policy.values())))
        rows = [[name, f"`{policy}`"] +
                [_figures(each.get(d), lambda g: f"{100 * g['cpu']:.2f} ({g['waits_per_second']:.0f})") for d in devices]
                for name, each in of_policy.items()]
        lines += report.table(["executor", "policy"] + devices, rows).splitlines() + [""]
    return lines[:-1]


def _targets(loops, provider):
    rows = []
    for policy in _policies(loops, "idle"):
        if policy not in _MOST:
            continue
        most = _MOST[policy]
        for name, each in loops.items():
            got = each["idle"].get(policy)
            if not got:
                continue
            devices = _SLEEPS_ON.get(provider, list(got)) if policy == "interrupt" else list(got)
            failed = [d for d in devices if "failed" in got[d]]
            worst = max((d for d in devices if d not in failed), key=lambda d: got[d]["cpu"], default=None)
            met = not failed and worst is not None and got[worst]["cpu"] < most
            what = ", ".join(f"{d}: failed" for d in failed) or f"{100 * got[worst]['cpu']:.2f} % ({worst})"
            rows.append([name, f"`{policy}`, {', '.join(devices)}", f"< {100 * most:.0f} %", what,
                         "met" if met else "**not met**"])
    return report.table(["executor", "CPU when idle, of one core", "target", "the most", ""], rows).splitlines()


def _said(loops):
    """What the library wrote on stderr, each message once, with the devices it came for."""
    said = {}
    for each in loops.values():
        for policy, of_policy in each["idle"].items():
            for device, got in of_policy.items():
                for line in got.get("said", []):
                    said.setdefault(line, {}).setdefault(f"`{policy}` on {device}")
    if not said:
        return []
    return ["", "What the library said meanwhile:", ""] + [
        f"* {', '.join(where)}: `{line}`" for line, where in said.items()]


def lines(results):
    loops = results["loops"]
    provider = "lite" if "lite" in results["provider"] else "spdk"
    m = results["machine"]
    throughput = _any(loops, "throughput")
    rounds = len(throughput["loop"])
    seconds = next(got["seconds"] for each in loops.values() for of in each["idle"].values()
                   for got in of.values() if "failed" not in got)

    def count_of(part):
        return f"{_any(loops, part)['count']:,}"

    return [
        f"Made by `scripts/bench-executors --keep` on {results['date']}: {m['cpu']}, {m['cores']} cores"
        f"{', a virtual machine' if m['virtual'] else ''}, Linux {m['kernel']}, {results['compiler']}, at nice {results['nice']}.",
        "",
        *_targets(loops, provider),
        "",
        f"**Throughput**: reads of 4 KiB on a null device, {throughput['depth']} in flight, "
        f"{throughput['count']:,} in each of {rounds} rounds, by turns with the run loop under the same policy. "
        "Nanoseconds for each, and I/O per second against the run loop in the same round: the median, in "
        "brackets the quartiles. The run loop against itself shows what is noise.",
        "",
        *_throughput(loops),
        "",
        "**Lateness of the application's own repeating timer of 1 ms** while those reads saturate the loop, and "
        "without an SPDK thread on it: microseconds by which the time from one tick to the next is over 1 ms; "
        f"p50 / p99 / the worst of {count_of('lateness')}, in brackets how often the machine gave the core to "
        "something else meanwhile. Below zero a loop makes up for a tick that was late: libuv counts whole "
        "milliseconds, and a timerfd keeps to its period.",
        "",
        *_latencies(loops, "lateness"),
        "",
        f"**CPU of the process over {seconds:.0f} idle seconds**: an open device, its channel, nothing in flight. "
        "Per cent of one core, in brackets how often a second the process went to sleep. A policy that never "
        "sleeps is measured on one device.",
        "",
        *_idle(loops),
        *_said(loops),
        "",
        "**Latency after idleness**: the loop has had nothing to do for 5 to 7 ms when another OS thread sends it a "
        f"message: microseconds until that runs; p50 / p99 / the worst of {count_of('message')}.",
        "",
        *_latencies(loops, "message"),
        "",
        "The message submits a read of 4 KiB from a file (`aio`): microseconds from there to its completion.",
        "",
        *_latencies(loops, "read"),
    ]
