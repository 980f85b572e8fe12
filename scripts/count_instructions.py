#!/usr/bin/env python3
"""What a step consists of, in numbers that do not depend on the machine's mood.

    count_instructions.py [--ingot build/release/bin/ingot] [WORKLOAD ...]

For each workload: kernels, reorders and bytes moved a step, and for the small ones the instructions
of a step on one thread, counted by callgrind. Valgrind knows AVX2 but not AVX-512, so the kernels
counted are those of an AVX2 machine. Nothing here is a verdict; no clock is
read. Exits with 1 where instructions could not be counted.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from project_files import ROOT

# Workload -> the batch at which instructions are counted (0: too long under valgrind).
WORKLOADS = {"seed-cnn": 8, "mlp784": 32, "gometal-cnn": 1, "resnet18-cifar": 0}
STEPS = 2  # counted, after a first one
COUNTED = "ingot::Executable::run_steps("


class CountError(Exception):
    """Instructions that were not, or cannot have been, counted."""


def structure(ingot, workload):
    run = subprocess.run([ingot, "bench", workload, "--fixed", "1", "--threads", "1"], check=True,
                         capture_output=True, text=True)
    return json.loads(run.stdout)


def collected(ingot, workload, batch, steps):
    """Instructions of the calls of Executable::run_steps in a run of some steps."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind",
             f"--callgrind-out-file={Path(folder) / 'callgrind.out'}",
             f"--toggle-collect={COUNTED}*", ingot, "bench", workload, "--fixed", str(steps),
             "--batch", str(batch), "--threads", "1"], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        raise CountError(f"{workload}: must run under valgrind, got exit code {run.returncode}\n"
                         + run.stderr[-2000:])
    # Callgrind takes any name, and counts nothing for one that is never called.
    if int(found.group(1)) == 0:
        raise CountError(f"{workload}: steps must have instructions, got 0 inside {COUNTED})")
    return int(found.group(1))


def instructions(ingot, workload, batch):
    """Instructions of a step: those of the runs after the first one."""
    first = collected(ingot, workload, batch, 1)
    more = collected(ingot, workload, batch, 1 + STEPS) - first
    if more <= 0:
        raise CountError(f"{workload}: more steps must have more instructions, got {more} more")
    return more / STEPS


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--ingot", default=str(ROOT / "build/release/bin/ingot"))
    arguments = parser.parse_args()
    failed = False
    counts = shutil.which("valgrind") is not None
    if not counts:
        print("valgrind is not installed: no instruction counts")
    print(f'{"workload":16} {"kernels":>7} {"reorders":>8} {"bytes moved":>13} '
          f'{"instructions/step":>24}')
    for workload in arguments.workloads:
        what = structure(arguments.ingot, workload)
        batch = WORKLOADS.get(workload, 1)
        text = "-"
        if counts and batch > 0:
            try:
                text = f"{instructions(arguments.ingot, workload, batch):,.0f} (batch {batch})"
            except CountError as error:
                print(f"count_instructions: {error}", file=sys.stderr)
                text, failed = "failed", True
        print(f'{workload:16} {what["kernels"]:7} {what["reorders"]:8} {what["bytes_moved"]:13,} '
              f'{text:>24}', flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
