#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts what limits.json has a limit for, and says where one is passed. No times: they differ."""

import argparse
import json
import os
import subprocess
import sys

import counts


def measured(build, limit):
    cost = os.path.join(build, "bench", "spdk-io-cost")
    if limit["what"] == "instructions":
        each = counts.instructions(cost, limit["candidate"], limit["depth"])
        return each - counts.instructions(cost, limit.get("beyond", "raw"), limit["depth"])
    if limit["what"] == "allocations":
        return counts.allocations(cost, limit["candidate"], limit["depth"])
    if limit["what"] == "frame":
        out = subprocess.run([os.path.join(build, "bench", "spdk-io-frame")], check=True,
                             stdout=subprocess.PIPE, text=True)
        return json.loads(out.stdout)[limit["awaits"]]
    spread = os.path.join(build, "bench", "spdk-io-spread")
    if limit["what"] == "growth":
        few, many = (counts.spread_instructions(spread, limit["candidate"], **{limit["over"]: n})
                     for n in (limit["from"], limit["to"]))
        return many - few
    if limit["what"] == "memory":
        out = counts.spread_measures(spread, 1000, 1, devices=100, threads=10)[limit["of"]]
        return out["library"] - out["raw"]
    raise ValueError(f"limits.json: there is no {limit['what']!r}")


def name_of(limit):
    if limit["what"] == "frame":
        return f"bytes of {'an operation' if limit['awaits'] == 'operation' else 'a frame with one await'}"
    if limit["what"] == "growth":
        return (f"instructions more at {limit['to']} {limit['over']} than at {limit['from']}, "
                f"{limit['candidate']}, depth 32")
    if limit["what"] == "memory":
        return f"heap bytes that one more {limit['of']} takes beyond SPDK's"
    base = limit.get("beyond", "raw callbacks")
    added = f"instructions added to {base}" if limit["what"] == "instructions" else "heap allocations"
    return f"{added}, {limit['candidate']}, depth {limit['depth']}"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", required=True)
    build = options.parse_args().build
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "limits.json")) as f:
        limits = json.load(f)
    failed = 0
    for limit in limits:
        got = measured(build, limit)
        passed = got <= limit["most"]
        failed += not passed
        print(f"{'ok' if passed else 'TOO MUCH'}: {name_of(limit)}: {got:g}, at most {limit['most']}")
        if not passed:
            print(f"  the limit stands for: {limit['reason']}. If that has changed for a good reason, change "
                  "bench/limits.json with it.")
    print(f"{len(limits) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
