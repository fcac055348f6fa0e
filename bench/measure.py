#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures everything, in one run, and writes it as JSON; report.py makes the page of it."""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys

import counts
import files
import sharing
import small
import spdk_tools


def say(what):
    print(f"-- {what}", file=sys.stderr, flush=True)


def machine():
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "virtual": os.path.exists("/sys/hypervisor") or "hypervisor" in open("/proc/cpuinfo").read(),
    }


def compiler(build):
    with open(os.path.join(build, "CMakeCache.txt")) as f:
        cache = dict(
            line.strip().split("=", 1) for line in f if "=" in line and not line.startswith(("#", "/"))
        )
    command = cache["CMAKE_CXX_COMPILER:STRING"] if "CMAKE_CXX_COMPILER:STRING" in cache else cache.get(
        "CMAKE_CXX_COMPILER:FILEPATH", "c++")
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    return version.stdout.splitlines()[0]


def count_all(build, environment, depths, names):
    """Instructions and allocations for each I/O."""
    program = os.path.join(build, "bench", "spdk-io-cost")
    out = {"instructions": {}, "allocations": {}}
    for depth in depths:
        say(f"instructions at depth {depth}")
        try:
            out["instructions"][str(depth)] = {
                name: counts.instructions(program, name, depth, environment=environment)
                for name in names
            }
        except counts.CannotCount as e:
            out["instructions"] = {}
            out["skipped"] = str(e)
            break
    if out["instructions"]:
        say("where they go")
        out["profile"] = {
            name: counts.profile(program, name, 32, environment=environment)
            for name in ("raw", "co_await", "co_await_token", "start", "sender", "asio_callback", "asio_awaitable")
        }
    for name in names:
        out["allocations"][name] = counts.allocations(program, name, 32, environment=environment)
    return out


GROWING = ["raw", "co_await", "co_await_token"]


def instructions_or_why(row, count):
    """Fills row["instructions"] from count(name), or says in row["skipped"] why there are none."""
    try:
        row["instructions"] = {name: count(name) for name in GROWING}
    except counts.CannotCount as e:
        row["instructions"] = {}
        row["skipped"] = str(e)


def growth(build, environment, most):
    """Instructions, and heap bytes, for each I/O when more and more are in flight or waiting."""
    program = os.path.join(build, "bench", "spdk-io-cost")
    out = []
    depth = 32
    while depth <= most:
        say(f"{depth} in flight or waiting")
        row = {"depth": depth}
        instructions_or_why(row, lambda name: counts.instructions(
            program, name, depth, count=max(10_000, 2 * depth), environment=environment))
        row["bytes"] = {name: counts.bytes_in_flight(program, name, depth, environment=environment)
                        for name in GROWING}
        out.append(row)
        depth = 1000 if depth == 32 else depth * 10
    return out


def spread(build, counting, environment, count, rounds, numbers):
    """The same, and the time, over more and more devices and SPDK threads, and the memory that each of
    these takes. `numbers`: {"devices": [1, …], "threads": [1, …]}."""
    program = os.path.join(build, "bench", "spdk-io-spread")
    out = {}
    for what, all_numbers in numbers.items():
        out[what] = []
        for number in all_numbers:
            say(f"{number} {what}")
            size = {what: number}
            row = {"number": number}
            instructions_or_why(row, lambda name: counts.spread_instructions(
                program, name, **size, environment=counting))
            row |= counts.spread_measures(program, count, rounds, **size, environment=environment)
            out[what].append(row)
    return out


def scaling(build, counting, count, rounds):
    """I/O per second by 1, 2, … OS threads, and the cache lines that they share."""
    program = os.path.join(build, "bench", "spdk-io-scaling")
    say("several OS threads")
    timed = subprocess.run([program, "--count", str(count), "--rounds", str(rounds)], check=True,
                           stdout=subprocess.PIPE, text=True)
    say("what they share")
    return json.loads(timed.stdout) | {"sharing": sharing.measure(program, environment=counting)}


def up_to(most, factor):
    """1, then each time that many times more."""
    out = [1]
    while out[-1] * factor <= most:
        out.append(out[-1] * factor)
    return out


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", required=True, help="the build folder, with the benchmarks")
    options.add_argument("--clang-build", help="one with spdk-io-frame by Clang")
    options.add_argument("--out", required=True)
    options.add_argument("--rounds", type=int, default=11)
    options.add_argument("--count", type=int, default=400_000)
    options.add_argument("--most", type=int, default=1_000_000, help="in flight or waiting, at most")
    options.add_argument("--most-devices", type=int, default=1000)
    options.add_argument("--most-threads", type=int, default=32,
                         help="SPDK threads: for 64 channels SPDK's buffers do not suffice")
    options.add_argument("--folder", default="/tmp", help="where the file lies that files are measured with")
    options.add_argument("--seconds", type=float, default=0.5, help="of each run on a file, and of bdevperf's")
    options.add_argument("--few-cases", action="store_true", help="of files: depths 1 and 32, 4 KiB")
    options.add_argument("--bdevperf", help="SPDK's bdevperf, to compare with")
    options.add_argument("--nvmf-tgt", help="SPDK's target, for NVMe/TCP over loopback")
    options.add_argument("--callgrind-preload", help="a library for the programs under callgrind")
    o = options.parse_args()

    environment = dict(os.environ)
    counting = dict(environment)
    if o.callgrind_preload:
        counting["LD_PRELOAD"] = o.callgrind_preload
    bench = os.path.join(o.build, "bench", "spdk-io-bench")
    say("overhead, messages and streams")
    timed = subprocess.run(
        [bench, "--rounds", str(o.rounds), "--count", str(o.count)],
        check=True, stdout=subprocess.PIPE, text=True)
    results = json.loads(timed.stdout)
    say("many in flight, with a large cache of bdev_ios")
    timed = subprocess.run(
        [bench, "--rounds", str(o.rounds), "--count", str(o.count), "--part", "overhead", "--depth", "1024",
         "--pool", "65535", "--cache", "4096"], check=True, stdout=subprocess.PIPE, text=True)
    results["overhead_large_cache"] = json.loads(timed.stdout)
    results["date"] = datetime.date.today().isoformat()
    results["machine"] = machine()
    results["compiler"] = compiler(o.build)
    names = list(results["candidates"])
    results["counts"] = count_all(o.build, counting, [1, 32, 128], names)
    results["growth"] = growth(o.build, counting, o.most)
    results["spread"] = spread(o.build, counting, environment, o.count, o.rounds, {
        "devices": up_to(o.most_devices, 10), "threads": up_to(o.most_threads, 2)})
    results["scaling"] = scaling(o.build, counting, o.count, o.rounds)
    frames = {"gcc": o.build, "clang": o.clang_build}
    results["frames"] = {
        name: json.loads(
            subprocess.run([os.path.join(folder, "bench", "spdk-io-frame")], check=True,
                           stdout=subprocess.PIPE, text=True).stdout)
        for name, folder in frames.items() if folder
    }
    file_program = os.path.join(o.build, "bench", "spdk-io-file")
    if results["provider"] == "spdk":
        results["bdevperf"] = spdk_tools.measure_bdevperf(bench, o.bdevperf, o.rounds, o.seconds, say=say)
        results["nvme_tcp"] = spdk_tools.measure_nvme_tcp(
            file_program, o.bdevperf, o.nvmf_tgt, o.rounds, o.seconds, say=say)
    else:
        results["files"] = files.measure_files(
            file_program, o.folder, o.rounds, o.seconds, quick=o.few_cases, say=say)
    say("compile time and size")
    results["small"] = small.measure_small(o.build, min(o.rounds, 5))
    with open(o.out, "w") as f:
        json.dump(results, f, indent=1)
    say(f"written to {o.out}")


if __name__ == "__main__":
    main()
