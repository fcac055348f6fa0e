#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures each executor that was built, as one part with one idle policy in a process of its own, and
writes it as JSON; tests/conformance/table.py makes tables of it."""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile

import measure

_PREFIX = "spdk-io-loop-"
_PATIENCE = 120  # seconds
_PRIORITY = -10  # what else the machine does gets in less
_FILE_SIZE = 16 << 20  # bytes
_DEVICES = ["null", "malloc", "uring", "aio", "delay", "error"]


class Executor:
    def __init__(self, program):
        self.program = program
        about = self.run("about")
        self.name = about["executor"]
        self.policies = about["policies"]
        self.provider = about["provider_version"]

    def run(self, part, *options):
        """What it printed; what the library had to say on stderr; or how it failed."""
        command = [self.program, "--part", part, *options]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            return {"failed": f"not finished after {_PATIENCE} seconds"}
        said = [line for line in ended.stderr.splitlines() if line.startswith("spdk-io: ")]
        if ended.returncode != 0:
            return {"failed": ended.stderr.strip() or f"status {ended.returncode}"}
        out = json.loads(ended.stdout)
        if said:
            out["said"] = said
        return out


def executors_in(folder):
    programs = (os.path.join(folder, entry) for entry in sorted(os.listdir(folder)) if entry.startswith(_PREFIX))
    return [Executor(p) for p in programs if os.access(p, os.X_OK)]


def measure_all(executors, file, o):
    """{executor: {part: {policy: …}}}. The executors come by turns within each part and policy."""
    results = {e.name: {} for e in executors}
    ticks = ["--samples", str(o.ticks)]
    messages = ["--samples", str(o.messages)]

    def each(part, what, *options):
        """With every policy that an executor takes."""
        for policy in dict.fromkeys(p for e in executors for p in e.policies):
            measure.say(f"{what}, {policy}")
            for e in executors:
                if policy in e.policies:
                    results[e.name].setdefault(part, {})[policy] = e.run(part, "--policy", policy, *options)

    each("throughput", "throughput", "--rounds", str(o.rounds), "--count", str(o.count))
    measure.say("lateness of a timer, without I/O")
    for e in executors:
        results[e.name]["lateness"] = {"alone": e.run("alone", *ticks)}
    each("lateness", "lateness of a timer under I/O", *ticks)
    each("message", "latency of a message", *messages)
    each("read", "latency of a read", "--device", "aio", "--file", file, *messages)
    for policy in dict.fromkeys(p for e in executors for p in e.policies):
        # One that never sleeps does not care.
        for device in _DEVICES if policy != "spin" else _DEVICES[:1]:
            measure.say(f"idle, {policy}, {device}")
            for e in executors:
                if policy in e.policies:
                    results[e.name].setdefault("idle", {}).setdefault(policy, {})[device] = e.run(
                        "idle", "--policy", policy, "--device", device, "--file", file, "--seconds", str(o.seconds))
    return results


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", required=True, help="the build folder, with the benchmarks")
    options.add_argument("--out", required=True)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--count", type=int, default=1_000_000, help="I/Os in each round")
    options.add_argument("--ticks", type=int, default=1000, help="of the timer")
    options.add_argument("--messages", type=int, default=300, help="and as many reads")
    options.add_argument("--seconds", type=float, default=2, help="of idleness")
    options.add_argument("--folder", help="where the file of the file devices lies")
    o = options.parse_args()

    try:
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    except PermissionError:
        measure.say("at ordinary priority: not permitted to raise it")
    executors = executors_in(os.path.join(o.build, "bench"))
    if not executors:
        sys.exit(f"no executor was built in {o.build}")
    with tempfile.NamedTemporaryFile(prefix="spdk-io-bench.", dir=o.folder) as file:
        file.write(os.urandom(_FILE_SIZE))
        file.flush()
        measured = measure_all(executors, file.name, o)
    with open(o.out, "w") as f:
        json.dump({
            "provider": executors[0].provider,
            "date": datetime.date.today().isoformat(),
            "machine": measure.machine(),
            "compiler": measure.compiler(o.build),
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "loops": measured,
        }, f, indent=1)
        f.write("\n")
    measure.say(f"written to {o.out}")
    sys.exit(any('"failed"' in json.dumps(each) for each in measured.values()))


if __name__ == "__main__":
    main()
