#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs each scenario of the conformance suite, each in a process of its own, on every executor that
was built, and writes what came out as JSON. Ends with 1 if one failed."""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys

_PREFIX = "conformance_"
_PATIENCE = 60  # seconds; a loop that loses a wake-up waits for ever


def scenarios_of(program):
    """As (suite, scenario)."""
    out = subprocess.run([program, "--gtest_list_tests"], check=True, capture_output=True, text=True).stdout
    suite = ""
    for line in out.splitlines():
        if line.startswith("  "):
            yield suite, line.strip()
        elif line.endswith("."):
            suite = line.removesuffix(".")


def name_of(suite, scenario):
    """What stands in the table: those in interrupt mode are marked."""
    return f"interrupt: {scenario}" if suite.startswith("interrupt_") else scenario


def run(program, suite, scenario):
    """How it ended; where it was skipped, why."""
    command = [program, f"--gtest_filter={suite}.{scenario}"]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return {"result": "failed", "why": f"not finished after {_PATIENCE} seconds"}
    if f"[       OK ] {suite}.{scenario}" in out.stdout and out.returncode == 0:
        return {"result": "passed"}
    skipped = re.search(r"Skipped\n(.*)\n", out.stdout)
    if skipped and out.returncode == 0:
        return {"result": "skipped", "why": skipped.group(1).strip()}
    return {"result": "failed", "why": f"status {out.returncode}"}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--programs", required=True, help="the folder with conformance_<executor>")
    options.add_argument("--provider", required=True)
    options.add_argument("--out", required=True)
    o = options.parse_args()
    results = {}
    for entry in sorted(os.listdir(o.programs)):
        program = os.path.join(o.programs, entry)
        if not entry.startswith(_PREFIX) or "flawed" in entry or not os.access(program, os.X_OK) or os.path.isdir(program):
            continue
        executor = entry.removeprefix(_PREFIX)
        results[executor] = {name_of(*each): run(program, *each) for each in scenarios_of(program)}
        bad = [s for s, r in results[executor].items() if r["result"] == "failed"]
        print(f"{executor}: {len(results[executor])} scenarios, {len(bad)} failed {' '.join(bad)}".rstrip(), file=sys.stderr)
    if not results:
        sys.exit(f"no executor was built in {o.programs}")
    with open(o.out, "w") as f:
        json.dump({"provider": o.provider, "date": datetime.date.today().isoformat(), "executors": results}, f, indent=1)
        f.write("\n")
    sys.exit(any(r["result"] == "failed" for each in results.values() for r in each.values()))


if __name__ == "__main__":
    main()
