# SPDX-License-Identifier: BSD-3-Clause
"""I/O on a file: the library, a loop by hand on liburing, blocking threads and fio, by turns.

Each figure comes from a process of its own, which warms up first. The CPU's time says little about
those that look for completions without sleeping (all but the threads): they use a whole core, so it
is the core's time divided by the I/Os.
"""

import json
import os
import shutil
import subprocess

_FILE_SIZE = 256 << 20
_WARM_UP = 0.2  # seconds, as spdk-io-file has it
_ENGINES = ["spdk_io", "liburing", "threads"]


class CannotMeasure(Exception):
    """A program is missing, or could not do what it was asked to."""


def run_json(command, environment=None, cpu=None, timeout=120):
    """What a program printed, as JSON. `cpu`: the only core that it may use."""
    pin = None if cpu is None else lambda: os.sched_setaffinity(0, {cpu})
    name = os.path.basename(command[0])
    try:
        out = subprocess.run(command, capture_output=True, text=True, env=environment,
                             preexec_fn=pin, timeout=timeout)
    except FileNotFoundError as e:
        raise CannotMeasure(f"{name} is not there") from e
    except subprocess.TimeoutExpired as e:
        raise CannotMeasure(f"{name} did not end in {timeout} seconds") from e
    if out.returncode != 0:
        last = (out.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CannotMeasure(f"{name} failed: {last}")
    return json.loads(out.stdout[out.stdout.index("{"):])


def by_turns(candidates, rounds):
    """Calls each of {name: function} once in each round; each round begins with another one, and
    one more round comes first and is dropped. {name: [what it returned, …]}."""
    names = list(candidates)
    out = {name: [] for name in names}
    for round_ in range(rounds + 1):
        for i in range(len(names)):
            name = names[(i + round_) % len(names)]
            result = candidates[name]()
            if round_ > 0:
                out[name].append(result)
    return out


def _figures(ios, seconds, cpu_seconds):
    if ios == 0:
        raise CannotMeasure("not one I/O was done in the time given")
    return {"iops": ios / seconds, "cpu_us_per_io": cpu_seconds * 1e6 / ios}


def run_program(program, options, seconds, environment=None, cpu=None):
    """spdk-io-file, once."""
    out = run_json([program, *options, "--seconds", str(seconds)], environment, cpu)
    return _figures(out["ios"], out["seconds"], out["cpu_seconds"])


def _run_fio(file, rw, size, depth, seconds):
    """As lite's engine does it: what has gathered is handed over in one call, completions are
    looked for without sleeping, nothing is registered. And no figures of single I/Os, which the
    other candidates do not collect either."""
    out = run_json([
        "fio", "--name=bench", f"--filename={file}", f"--size={_FILE_SIZE}", "--allow_file_create=0",
        "--ioengine=io_uring", "--direct=1", f"--rw=rand{rw}", f"--bs={size}", "--norandommap",
        f"--iodepth={depth}", f"--iodepth_batch_submit={depth}", "--iodepth_batch_complete_min=0",
        f"--iodepth_batch_complete_max={depth}", "--scramble_buffers=0", "--gtod_reduce=1",
        "--time_based", f"--runtime={round(seconds * 1000)}ms",
        f"--ramp_time={round(_WARM_UP * 1000)}ms", "--disk_util=0", "--eta=never",
        "--output-format=json"])
    job = out["jobs"][0]
    if job["error"] != 0:
        raise CannotMeasure(f"fio failed: {os.strerror(job['error'])}")
    milliseconds = job[rw]["runtime"]
    cpu = (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] / 1000
    return _figures(job[rw]["total_ios"], max(1, milliseconds) / 1000, cpu)


def _candidates(program, file, case, seconds, with_fio):
    rw, size, depth = case
    out = {}
    for engine in _ENGINES:
        options = ["--engine", engine, "--file", file, "--rw", rw, "--size", str(size),
                   "--depth", str(depth)]
        out[engine] = lambda options=options: run_program(program, options, seconds)
    if with_fio:
        out["fio"] = lambda: _run_fio(file, rw, size, depth, seconds)
    return out


def _cases(quick):
    sizes = [4096] if quick else [4096, 131072]
    depths = [1, 32] if quick else [1, 32, 128]
    return [(rw, size, depth) for rw in ("read", "write") for size in sizes for depth in depths]


def measure_files(program, folder, rounds, seconds, quick=False, say=lambda what: None):
    """`program`: spdk-io-file. The file is made in `folder`, and removed again: on a disk it shows
    what reaches the disk; in a file system in memory, what the ways themselves cost. Takes about
    cases · 4 · (rounds + 1) · (seconds + 0.5) seconds; 12 cases, or 4 if quick."""
    out = {"file_size": _FILE_SIZE, "seconds": seconds, "cases": [], "skipped": {}}
    with_fio = shutil.which("fio") is not None
    if with_fio:
        out["fio_version"] = subprocess.run(["fio", "--version"], capture_output=True, text=True,
                                            check=True).stdout.strip()
    else:
        out["skipped"]["fio"] = "fio is not installed"
    file = os.path.join(folder, f"spdk-io-file.{os.getpid()}.data")
    try:
        prepared = subprocess.run([program, "--file", file, "--prepare", str(_FILE_SIZE)],
                                  capture_output=True, text=True)
        if prepared.returncode != 0:
            out["skipped"]["all"] = prepared.stderr.strip()
            return out
        for case in _cases(quick):
            rw, size, depth = case
            say(f"{rw}s of {size} bytes, {depth} in flight")
            results = by_turns(_candidates(program, file, case, seconds, with_fio), rounds)
            row = {"rw": rw, "size": size, "depth": depth}
            for figure in ("iops", "cpu_us_per_io"):
                row[figure] = {name: [r[figure] for r in each] for name, each in results.items()}
            out["cases"].append(row)
    finally:
        if os.path.exists(file):
            os.remove(file)
    return out
