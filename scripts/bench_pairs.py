#!/usr/bin/env python3
"""Compares the working tree's speed with a base commit's on this machine, pair by pair.

    bench_pairs.py [--base COMMIT] [--rounds 5] [--limit 0.95] [WORKLOAD[@BATCH] ...]

The base (the last commit, unless given; with nothing changed, the one before) is built in a worktree
under build/. Both check what a workload computes once; then they take turns, each pair in the other
order than the one before. The verdict is the median of the pairs' ratios: a workload below the limit
is measured again, and fails the run when that confirms it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from project_files import ROOT

WORKLOADS = ["seed-cnn", "mlp784", "gometal-cnn", "resnet18-cifar", "resnet50",
             "infer:resnet18-cifar@1", "infer:resnet18-cifar@32"]
BASE_TREE = ROOT / "build" / "bench-base"
SECONDS = 0.25  # of a repeat


def git(*words, folder=ROOT):
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True,
                          text=True).stdout.strip()


def build(folder):
    for step in (["cmake", "--preset", "demo", "-Wno-dev"],
                 ["cmake", "--build", "--preset", "demo", "--target", "ingot_cli"]):
        run = subprocess.run(step, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        if run.returncode != 0:
            sys.exit(f"{' '.join(step)} failed in {folder}:\n{run.stdout[-4000:]}")
    return folder / "build" / "demo" / "bin" / "ingot"


def check_out(commit):
    if not BASE_TREE.exists():
        git("worktree", "prune")
        git("worktree", "add", "--detach", str(BASE_TREE), commit)
    git("checkout", "--detach", "--force", commit, folder=BASE_TREE)


def run_bench(ingot, workload, device, steps, *more):
    name, _, batch = workload.partition("@")
    words = ["infer", name.split(":")[1]] if name.startswith("infer:") else [name]
    command = [str(ingot), "bench", *words, "--device", device, "--json", "--steps", str(steps),
               *(["--batch", batch] if batch else []), *more]
    return subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, "INGOT_FALLBACK": "error"})


class Contender:
    """A build's command on one workload."""

    def __init__(self, ingot, workload, device):
        self.what = (ingot, workload, device)
        run = run_bench(*self.what, 1)
        self.known = run.returncode != 2
        if not self.known:
            return
        self.first = self.result(run)
        # A base of before the option checks each time, which only takes longer; so does inference.
        trial = run_bench(*self.what, 1, "--check", "none")
        self.more = ["--check", "none"] if trial.returncode == 0 else []

    def result(self, run):
        if run.returncode != 0:
            sys.exit(f"{' '.join(map(str, self.what))} failed:\n{run.stderr}")
        return json.loads(run.stdout)["steps_per_second"]

    def rate(self, steps):
        return self.result(run_bench(*self.what, steps, *self.more))


def measure(base, tree, rounds):
    """(base's and tree's median rates, median of the pairs' ratios)."""
    steps = max(1, int(base.first * SECONDS))
    pairs = []
    for number in range(rounds):
        order = (base, tree) if number % 2 == 0 else (tree, base)
        rates = {contender: contender.rate(steps) for contender in order}
        pairs.append((rates[base], rates[tree]))
    return (statistics.median(b for b, _ in pairs), statistics.median(t for _, t in pairs),
            statistics.median(t / b for b, t in pairs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", default=WORKLOADS)
    parser.add_argument("--base", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=0.95)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    changed = git("status", "--porcelain", "--untracked-files=no")
    commit = git("rev-parse", "--short", arguments.base or ("HEAD" if changed else "HEAD~1"))
    check_out(commit)
    base, tree = build(BASE_TREE), build(ROOT)
    print(f"base {commit}, {arguments.rounds} pairs each\n"
          f'{"workload":24} {"base":>10} {"tree":>10}  steps/s   ratio', flush=True)
    slower = []
    for workload in arguments.workloads:
        contenders = [Contender(ingot, workload, arguments.device) for ingot in (base, tree)]
        if not contenders[0].known:
            print(f"{workload:24} is unknown to the base", flush=True)
            continue
        result = measure(*contenders, arguments.rounds)
        if result[2] < arguments.limit:
            result = measure(*contenders, 2 * arguments.rounds)
            if result[2] < arguments.limit:
                slower.append(workload)
        verdict = "  SLOWER" if workload in slower else ""
        print(f"{workload:24} {result[0]:10.4g} {result[1]:10.4g} {result[2]:17.3f}{verdict}",
              flush=True)
    if slower:
        print(f"slower than {arguments.limit} of the base: {', '.join(slower)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
