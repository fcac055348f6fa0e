# SPDX-License-Identifier: BSD-3-Clause
"""What is counted, and so repeats exactly: instructions, heap allocations, bytes."""

import json
import os
import re
import subprocess
import tempfile


class CannotCount(Exception):
    """callgrind is missing, or cannot run the program."""


# Between entering and leaving this function of the programs, and not while SPDK starts.
_CALLGRIND = ["valgrind", "--tool=callgrind", "--toggle-collect=spdk_io_bench_counted"]


def _command(program, candidate, count, depth, pool=None, options=()):
    command = [program, candidate, "--count", str(count), "--depth", str(depth), *options]
    if pool:
        command += ["--pool", str(pool[0]), "--cache", str(pool[1])]
    return command


def _json_of(command, environment=None):
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(out.stdout.splitlines()[-1])


def _cost(program, candidate, count, depth, pool=None, environment=None):
    return _json_of(_command(program, candidate, count, depth, pool), environment)


def _instructions_of_run(program, candidate, count, depth, pool=None, environment=None, options=()):
    command = [*_CALLGRIND, "--callgrind-out-file=/dev/null"]
    command += _command(program, candidate, count, depth, pool, options)
    try:
        out = subprocess.run(command, capture_output=True, text=True, env=environment)
    except FileNotFoundError as e:
        raise CannotCount("valgrind is not installed") from e
    found = re.search(r"Collected : ([1-9]\d*)", out.stderr)
    if out.returncode != 0 or not found:
        said = [line for line in out.stderr.splitlines() if line and not line.startswith("==")]
        last = said[-1] if said else "it said nothing"
        raise CannotCount(f"callgrind could not run {os.path.basename(program)}: {last}")
    return int(found.group(1))


def instructions(program, candidate, depth, count=10_000, pool=None, environment=None):
    """For each I/O: the difference of two runs, so that starting and ending do not count."""
    start = 2 * depth + 2000
    short = _instructions_of_run(program, candidate, start, depth, pool, environment)
    long = _instructions_of_run(program, candidate, start + count, depth, pool, environment)
    return (long - short) / count


def _by_function(program, candidate, count, depth, environment):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            [*_CALLGRIND, f"--callgrind-out-file={out.name}", program, candidate,
             "--count", str(count), "--depth", str(depth)], capture_output=True, check=True, env=environment)
        text = subprocess.run(["callgrind_annotate", "--threshold=100", out.name], capture_output=True, text=True,
                              check=True).stdout
    each = {}
    for line in text.splitlines():
        found = re.match(r"\s*([\d,]+) \([^)]*\)\s+[^:]*:(.*?)(?: \[[^\]]*\])?$", line)
        if found:
            name = found.group(2)
            each[name] = each.get(name, 0) + int(found.group(1).replace(",", ""))
    return each


def profile(program, candidate, depth, count=10_000, environment=None):
    """Instructions for each I/O by function, those of this project first of all; in the same way."""
    start = 2 * depth + 2000
    short = _by_function(program, candidate, start, depth, environment)
    long = _by_function(program, candidate, start + count, depth, environment)
    each = {name: (total - short.get(name, 0)) / count for name, total in long.items()}
    return {name: value for name, value in each.items() if value >= 0.5}


def allocations(program, candidate, depth, count=10_000, environment=None):
    """For each I/O, in the same way."""
    start = 2 * depth + 2000
    short = _cost(program, candidate, start, depth, environment=environment)
    long = _cost(program, candidate, start + count, depth, environment=environment)
    return (long["allocations"] - short["allocations"]) / count


def bytes_in_flight(program, candidate, depth, pool=None, environment=None):
    """Heap bytes for each I/O in flight: what one more of them takes."""
    few = _cost(program, candidate, 2 * depth, depth, pool, environment)
    many = _cost(program, candidate, 4 * depth, 2 * depth, pool, environment)
    return (many["bytes"] - few["bytes"]) / depth


# --- many devices and SPDK threads: `program` is spdk-io-spread ------------------------------------


def _spread(devices, threads):
    return ["--devices", str(devices), "--threads", str(threads)]


def spread_instructions(program, candidate, devices=1, threads=1, depth=32, environment=None):
    """For each I/O, with `depth` in flight on each thread; in the same way."""
    count = 20_000
    start = 2 * depth * threads + 2 * devices + 2000
    each = [_instructions_of_run(program, candidate, n, depth, environment=environment,
                                 options=_spread(devices, threads)) for n in (start, start + count)]
    return (each[1] - each[0]) / count


def spread_measures(program, count, rounds, devices=1, threads=1, depth=32, environment=None):
    """Nanoseconds for each I/O in each round ("ns") and heap bytes for each in flight ("bytes"), by candidate;
    the heap bytes that one more "device", open and with a channel, and one more "thread" take, with SPDK's C
    API ("raw") and with the library."""
    return _json_of([program, "--count", str(count), "--depth", str(depth), "--rounds", str(rounds),
                     *_spread(devices, threads)], environment)
