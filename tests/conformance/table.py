#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The page docs/executors.md, of what run_all.py and bench/loops.py wrote."""

import json
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import loops_report  # noqa: E402

_INTERRUPT = "interrupt: "


def table(results):
    """One for each suite."""
    scenarios = list(next(iter(results["executors"].values())))
    asleep = [s for s in scenarios if s.startswith(_INTERRUPT)]
    lines = one_table(results, [s for s in scenarios if s not in asleep])
    if asleep:
        lines += ["", "With `idle::interrupt`, in SPDK's interrupt mode:", ""] + one_table(results, asleep)
    return lines


def one_table(results, scenarios):
    executors = list(results["executors"])
    notes = []
    lines = [f"| scenario | {' | '.join(executors)} |", "|---" * (len(executors) + 1) + "|"]
    for scenario in scenarios:
        cells = []
        for executor in executors:
            got = results["executors"][executor].get(scenario, {"result": "not run"})
            cell = {"passed": "yes", "failed": "**no**"}.get(got["result"], got["result"])
            if got.get("why"):
                if got["why"] not in notes:
                    notes.append(got["why"])
                cell += f" ({notes.index(got['why']) + 1})"
            cells.append(cell)
        lines.append(f"| {scenario.removeprefix(_INTERRUPT).replace('_', ' ')} | {' | '.join(cells)} |")
    counts = [sum(results["executors"][e].get(s, {}).get("result") == "passed" for s in scenarios) for e in executors]
    lines.append(f"| **passed, of {len(scenarios)}** | {' | '.join(str(c) for c in counts)} |")
    if notes:
        lines += [""] + [f"({i + 1}) {note}.  " for i, note in enumerate(notes)]
    return lines


def main():
    lines = [
        "# Executors",
        "",
        "What runs SPDK as one task among others, what was tried there, and what it costs: one suite",
        "([conformance_test.cpp](../tests/conformance/conformance_test.cpp), and for interrupt mode",
        "[interrupt_conformance_test.cpp](../tests/conformance/interrupt_conformance_test.cpp)) and one benchmark",
        "([loops.cpp](../bench/loops.cpp)), the same for each. Made by `scripts/check-executors --keep` and",
        "`scripts/bench-executors --keep` from runs of them: no figure here was typed.",
        "",
        "| executor | what it is |",
        "|---|---|",
        "| run_loop | the library's own loop, `<spdk_io/run_loop.hpp>` |",
        "| asio | standalone Asio, `<spdk_io/adapters/asio.hpp>` |",
        "| boost_asio | Boost.Asio, `<spdk_io/adapters/boost_asio.hpp>` |",
        "| libuv | libuv, `<spdk_io/adapters/libuv.hpp>` |",
        "| glib | GLib's main loop, `<spdk_io/adapters/glib.hpp>` |",
        "| execution | a loop that has a scheduler of `std::execution`, `<spdk_io/adapters/execution.hpp>`. (`run_loop` of "
        "`std::execution` cannot be run one turn at a time: "
        "[execution_library_test.cpp](../tests/adapters/execution_library_test.cpp) polls on that) |",
        "| epoll | a plain epoll loop, the example [epoll_loop.hpp](../examples/epoll_loop.hpp): what any loop needs |",
        "",
        "The suite itself is tested with loops that have one flaw each: one never yields, one loses a",
        "wake-up, one drops callables, one watches files in vain. It finds all four.",
    ]
    provider = None
    for path in sys.argv[1:]:
        with open(path) as f:
            results = json.load(f)
        if results["provider"] != provider:
            provider = results["provider"]
            lines += ["", f"## On {provider}"]
        if "loops" in results:
            lines += ["", "### What it costs", ""] + loops_report.lines(results)
        else:
            lines += ["", "### What was tried", "", f"Run on {results['date']}.", ""] + table(results)
    print("\n".join(lines).rstrip())


if __name__ == "__main__":
    main()
