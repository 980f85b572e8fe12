#!/usr/bin/env python3
"""Builds and tests every configuration of a plan, stage by stage, and counts the cases.

    verify.py test      what every change must pass
    verify.py full      everything there is
    verify.py summary   prints again what the last run found

A stage that fails does not stop the next one. Every test case counts once: it passed if it passed
in every stage that ran it. Exits 1 if a case failed or a stage could not be built.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from project_files import ROOT

SUMMARY = ROOT / "build" / "verify.json"
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Stage:
    """One configuration: how it is configured, what of it is built, which tests are run."""

    name: str
    preset: str = ""
    build_dir: str = ""
    configure: list = field(default_factory=list)
    targets: list = field(default_factory=list)  # empty: everything
    ctest: list = field(default_factory=list)
    environment: dict = field(default_factory=dict)
    requires: tuple = ()  # programs without which the stage is left out, saying so
    rooms: tuple = ()  # build and run only the quick tests of these rooms
    shows_conformance: bool = False  # prints the conformance suite's table
    command: list = field(default_factory=list)  # instead of all that: one command that must pass

    def folder(self):
        return ROOT / "build" / (self.build_dir or self.preset)


QUICK = ["-LE", "slow|full|check|package"]
THREADED_ROOMS = ("base", "memory", "engine", "data")

TEST_PLAN = [
    Stage("release", "release", ctest=["-LE", "full"], shows_conformance=True),
    Stage("asan+ubsan", "asan", ctest=QUICK),
    Stage("tsan", "tsan", rooms=THREADED_ROOMS),
]

FULL_PLAN = [
    Stage("release", "release", shows_conformance=True),
    Stage("asan+ubsan", "asan"),
    Stage("tsan", "tsan"),
    # Without `cuda`: nothing of that backend is compiled otherwise than in release.
    Stage("no-onednn", "no-onednn", ctest=["-LE", "full|check|package|cuda"]),
    Stage("fuzz", "fuzz", ctest=["-L", "fuzz"]),
    Stage("tidy", command=["python3", "scripts/tidy.py"], requires=("clang-tidy-19",)),
    Stage("neon", "neon", ctest=QUICK, requires=("aarch64-linux-gnu-g++",)),
]

PLANS = {"test": TEST_PLAN, "full": FULL_PLAN}


def run(command, **options):
    return subprocess.run([str(word) for word in command], cwd=ROOT, **options)


def say(text):
    print(text, flush=True)


def test_rooms():
    """Rooms that have quick tests, as tests/CMakeLists.txt finds them."""
    return {path.parent.relative_to(ROOT / "tests").parts[0]
            for path in (ROOT / "tests").glob("*/**/*_test.cpp")
            if not re.search(r"_(slow|full)_test\.cpp$", path.name)}


def build(stage):
    """Configures and builds; prints the log only where it failed."""
    steps = [["cmake", "--preset", stage.preset, *stage.configure]]
    if stage.build_dir:
        steps[0] += ["-B", stage.folder()]
    targets = list(stage.targets)
    if stage.rooms:
        targets = [f"test_{room}" for room in stage.rooms if room in test_rooms()]
    steps.append(["cmake", "--build", stage.folder()] + (["--target", *targets] if targets else []))
    for step in steps:
        result = run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            say(result.stdout[-20000:])
            return False
    return True


def gtest_cases(report):
    """(case, outcome) of one GoogleTest report in JSON."""
    for suite in json.loads(report.read_text())["testsuites"]:
        for case in suite["testsuite"]:
            name = f'{suite["name"]}.{case["name"]}'
            if case.get("failures"):
                yield name, FAILED
            elif case["status"] == "NOTRUN" or case["result"] == "SKIPPED":
                yield name, SKIPPED
            else:
                yield name, PASSED


def ctest_cases(junit, reports):
    """(case, outcome) of one ctest run; a binary that wrote a report counts by its cases."""
    for entry in ElementTree.parse(junit).getroot().iter("testcase"):
        name, status = entry.get("name"), entry.get("status")
        report = reports / f"{name}.json"
        outcomes = []
        if report.exists():
            outcomes = [(f"{name}/{case}", outcome) for case, outcome in gtest_cases(report)]
        yield from outcomes
        if status == "fail" and all(outcome != FAILED for _, outcome in outcomes):
            yield name, FAILED  # crashed, timed out or leaked
        elif not outcomes:
            output = entry.findtext("system-out") or ""
            unit_tests = re.search(r"^Ran (\d+) tests? in", output, re.M)
            outcome = {"run": PASSED, "fail": FAILED}.get(status, SKIPPED)
            for index in range(int(unit_tests.group(1)) if unit_tests else 1):
                yield (f"{name}#{index}" if unit_tests else name), outcome


def conformance_table(junit):
    """The table of ops and checks that the conformance suite prints; empty when it did not run."""
    for entry in ElementTree.parse(junit).getroot().iter("testcase"):
        lines = (entry.findtext("system-out") or "").splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("conformance: ")]
        if starts:
            end = next((i for i in range(starts[0], len(lines)) if " ops " in lines[i]), len(lines))
            return lines[starts[0]:end + 1]
    return []


def test(stage):
    """Runs the stage's tests and returns {case: outcome}."""
    folder = stage.folder()
    reports, junit = folder / "test-results", folder / "ctest.xml"
    shutil.rmtree(reports, ignore_errors=True)
    junit.unlink(missing_ok=True)
    selection = list(stage.ctest)
    if stage.rooms:
        selection += ["-R", "^(" + "|".join(stage.rooms) + ")$"]
    command = ["ctest", "--test-dir", folder, "-j", os.cpu_count(), "--output-on-failure",
               "--no-tests=error", "--output-junit", junit,
               "--test-output-size-passed", 1 << 20, *selection]
    result = run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                 env={**os.environ, **stage.environment})
    if result.returncode != 0:
        say(result.stdout[-60000:])
    if not junit.exists():
        return {"ctest": FAILED}
    if stage.shows_conformance:
        for line in conformance_table(junit):
            say(line)
    cases = dict(ctest_cases(junit, reports))
    if result.returncode != 0 and FAILED not in cases.values():
        cases["ctest"] = FAILED
    return cases


def run_stage(stage):
    """Returns {case: outcome}; a failed build counts as one failed case."""
    missing = [program for program in stage.requires if not shutil.which(program)]
    if missing:
        say(f"== {stage.name}: left out, needs {', '.join(missing)}")
        return {}
    say(f"== {stage.name}")
    start = time.monotonic()
    if stage.command:
        passed = run(stage.command).returncode == 0
        say(f"== {stage.name}: {PASSED if passed else FAILED} in {time.monotonic() - start:.0f} s")
        return {stage.name: PASSED if passed else FAILED}
    built = build(stage)
    build_seconds = time.monotonic() - start
    if not built:
        say(f"== {stage.name}: BUILD FAILED after {build_seconds:.0f} s")
        return {f"build.{stage.name}": FAILED}
    cases = test(stage)
    outcomes = list(cases.values())
    say(f"== {stage.name}: built in {build_seconds:.0f} s, "
        f"tested in {time.monotonic() - start - build_seconds:.0f} s: "
        + ", ".join(f"{outcomes.count(kind)} {kind}" for kind in (PASSED, FAILED, SKIPPED)))
    return cases


def merge(total, cases):
    rank = {FAILED: 2, PASSED: 1, SKIPPED: 0}
    for case, outcome in cases.items():
        if rank[outcome] >= rank[total.get(case, SKIPPED)]:
            total[case] = outcome


def print_summary(summary):
    for case in summary["failures"]:
        say(f"failed: {case}")
    for case in summary["skips"]:
        say(f"skipped: {case}")
    say(f"{summary['passed']} passed, {summary['failed']} failed")


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in (*PLANS, "summary"):
        sys.exit(__doc__)
    if sys.argv[1] == "summary":
        if not SUMMARY.exists():
            sys.exit("verify: no run yet")
        summary = json.loads(SUMMARY.read_text())
        print_summary(summary)
        return 1 if summary["failed"] else 0
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.unlink(missing_ok=True)
    total = {}
    start = time.monotonic()
    for stage in PLANS[sys.argv[1]]:
        merge(total, run_stage(stage))
    outcomes = list(total.values())
    summary = {
        "passed": outcomes.count(PASSED),
        "failed": outcomes.count(FAILED),
        "failures": sorted(case for case, outcome in total.items() if outcome == FAILED),
        "skips": sorted(case for case, outcome in total.items() if outcome == SKIPPED),
    }
    SUMMARY.write_text(json.dumps(summary, indent=1))
    say(f"== all stages: {time.monotonic() - start:.0f} s")
    print_summary(summary)
    return 1 if summary["failed"] or not summary["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
