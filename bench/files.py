# SPDX-License-Identifier: BSD-3-Clause
"""I/O on a file: the library, a loop by hand on liburing, blocking threads and fio, by turns. And that
loop once more, compared with itself: how far apart two equal ones come out is what the disk's own
ups and downs make of a ratio.

Each figure comes from a process of its own, which warms up first, all of them on the same core. The
CPU's time says little about those that look for completions without sleeping (all but the threads):
they use a whole core, so it is the core's time divided by the I/Os. fio counts that of its own thread
only, not of those that the kernel adds for I/O that would block.
"""

import json
import os
import shutil
import subprocess

_FILE_SIZE = 256 << 20
_WARM_UP = 0.2  # seconds, as spdk-io-file has it
_CORE = 0  # of all of them: SPDK's threads stay on one, and where a disk's interrupts arrive matters
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


def _run_fio(file, rw, size, depth, seconds, cpu):
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
        "--output-format=json"], cpu=cpu)
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
        out[engine] = lambda options=options: run_program(program, options, seconds, cpu=_CORE)
    out["liburing_again"] = out["liburing"]
    if with_fio:
        out["fio"] = lambda: _run_fio(file, rw, size, depth, seconds, _CORE)
    return out


def _depths(quick):
    return [1, 32] if quick else [1, 32, 128]


def _cases(quick):
    sizes = [4096] if quick else [4096, 131072]
    return [(rw, size, depth)
            for rw in ("read", "write") for size in sizes for depth in _depths(quick)]


def _measure_case(program, file, case, rounds, seconds, with_fio):
    rw, size, depth = case
    results = by_turns(_candidates(program, file, case, seconds, with_fio), rounds)
    row = {"rw": rw, "size": size, "depth": depth}
    for figure in ("iops", "cpu_us_per_io"):
        row[figure] = {name: [r[figure] for r in each] for name, each in results.items()}
    return row


def measure_files(program, folder, rounds, seconds, quick=False, say=lambda what: None):
    """`program`: spdk-io-file. The files are made in `folder`, on a file system that has direct I/O,
    and removed again. "cases" are of a file that is filled; "holes" are reads of one without any
    block, where the kernel does everything but ask the disk: these show what the ways themselves
    cost. Takes about (cases + holes) · 5 · (rounds + 1) · (seconds + 0.5) seconds; there are 12 and
    3 of them, or 4 and 2 if quick."""
    out = {"file_size": _FILE_SIZE, "seconds": seconds, "cases": [], "holes": [], "skipped": {}}
    with_fio = shutil.which("fio") is not None
    if with_fio:
        out["fio_version"] = subprocess.run(["fio", "--version"], capture_output=True, text=True,
                                            check=True).stdout.strip()
    else:
        out["skipped"]["fio"] = "fio is not installed"
    file = os.path.join(folder, f"spdk-io-file.{os.getpid()}.data")
    hole = os.path.join(folder, f"spdk-io-file.{os.getpid()}.hole")
    try:
        prepared = subprocess.run([program, "--file", file, "--prepare", str(_FILE_SIZE)],
                                  capture_output=True, text=True)
        if prepared.returncode != 0:
            out["skipped"]["all"] = prepared.stderr.strip()
            return out
        with open(hole, "wb") as f:
            f.truncate(_FILE_SIZE)
        for case in _cases(quick):
            say("{}s of {} bytes, {} in flight".format(*case))
            out["cases"].append(_measure_case(program, file, case, rounds, seconds, with_fio))
        for depth in _depths(quick):
            say(f"reads of holes, {depth} in flight")
            case = ("read", 4096, depth)
            out["holes"].append(_measure_case(program, hole, case, rounds, seconds, with_fio))
    except CannotMeasure as e:
        out["skipped"]["rest"] = str(e)
    finally:
        for each in (file, hole):
            if os.path.exists(each):
                os.remove(each)
    return out
