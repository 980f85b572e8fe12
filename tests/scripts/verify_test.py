import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import verify  # noqa: E402


def gtest_report(**outcomes):
    """A report of one suite; an outcome is `ok`, `bad`, `skipped` or `disabled`."""
    cases = []
    for name, outcome in outcomes.items():
        case = {"name": name, "status": "NOTRUN" if outcome == "disabled" else "RUN",
                "result": "SKIPPED" if outcome == "skipped" else "COMPLETED"}
        if outcome == "bad":
            case["failures"] = [{"failure": "expected 1"}]
        cases.append(case)
    return json.dumps({"testsuites": [{"name": "Suite", "testsuite": cases}]})


class CountTest(unittest.TestCase):
    def cases(self, entries, reports):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "ctest.xml").write_text(f"<testsuite>{entries}</testsuite>")
            for report, text in reports.items():
                (folder / f"{report}.json").write_text(text)
            return dict(verify.ctest_cases(folder / "ctest.xml", folder))

    def test_a_binary_counts_by_its_cases(self):
        self.assertEqual(
            self.cases('<testcase name="ir" status="fail"/>',
                       {"ir": gtest_report(a="ok", b="bad", c="skipped", d="disabled")}),
            {"ir/Suite.a": "passed", "ir/Suite.b": "failed", "ir/Suite.c": "skipped",
             "ir/Suite.d": "skipped"})

    def test_a_binary_that_fails_after_its_cases_is_a_failure(self):
        self.assertEqual(
            self.cases('<testcase name="ir" status="fail"/>', {"ir": gtest_report(a="ok")}),
            {"ir/Suite.a": "passed", "ir": "failed"})

    def test_a_binary_that_wrote_nothing_is_one_failure(self):
        self.assertEqual(self.cases('<testcase name="ir" status="fail"/>', {}), {"ir": "failed"})

    def test_other_tests_count_once_and_unit_tests_by_number(self):
        self.assertEqual(
            self.cases('<testcase name="package" status="run"/>'
                       '<testcase name="left" status="notrun"/>'
                       '<testcase name="scripts" status="run">'
                       '<system-out>...\nRan 2 tests in 0.004s\n\nOK</system-out></testcase>', {}),
            {"package": "passed", "left": "skipped", "scripts#0": "passed", "scripts#1": "passed"})

    def test_the_conformance_table_is_found(self):
        with tempfile.TemporaryDirectory() as name:
            junit = Path(name) / "ctest.xml"
            junit.write_text(
                '<testsuite><testcase name="ir"><system-out>ok</system-out></testcase>'
                '<testcase name="conformance"><system-out>noise\nconformance: cases\nop  cpu\n'
                'add  7\n1 ops  7\nmore noise</system-out></testcase></testsuite>')
            self.assertEqual(verify.conformance_table(junit),
                             ["conformance: cases", "op  cpu", "add  7", "1 ops  7"])
            junit.write_text('<testsuite><testcase name="ir"/></testsuite>')
            self.assertEqual(verify.conformance_table(junit), [])

    def test_a_failure_in_any_stage_stays(self):
        total = {}
        verify.merge(total, {"a": "passed", "b": "skipped", "c": "failed"})
        verify.merge(total, {"a": "failed", "b": "passed", "c": "passed", "d": "skipped"})
        self.assertEqual(total, {"a": "failed", "b": "passed", "c": "failed", "d": "skipped"})


if __name__ == "__main__":
    unittest.main()
