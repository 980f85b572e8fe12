import contextlib
import io
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import bench_pairs  # noqa: E402


class FakeContender:
    """A build whose rates on a workload are given, the first for the look that finds the steps."""

    rates = {}
    asked = []

    def __init__(self, ingot, workload, device):
        self.name = ingot
        self.known = (ingot, workload) in self.rates
        self.own = iter(self.rates.get((ingot, workload), ()))
        self.first = next(self.own, 0)

    def rate(self, steps):
        self.asked.append(self.name)
        return next(self.own)


class BenchPairsTest(unittest.TestCase):
    def run_main(self, rates, *words):
        """Exit code and output, with builds `base` and `tree` that have these rates."""
        FakeContender.rates, FakeContender.asked = rates, []
        out = io.StringIO()
        with mock.patch.multiple(bench_pairs, Contender=FakeContender, check_out=lambda commit: None,
                                 build=lambda folder: "tree" if folder == bench_pairs.ROOT else "base",
                                 git=lambda *words, **_: "abc1234"), \
                mock.patch.object(sys, "argv", ["bench_pairs.py", *words]), \
                contextlib.redirect_stdout(out):
            return bench_pairs.main(), out.getvalue()

    def one(self, base, tree, rounds=3):
        return self.run_main({("base", "w"): [100, *base], ("tree", "w"): [100, *tree]}, "w",
                             "--rounds", str(rounds))

    def test_as_fast_passes(self):
        code, text = self.one([100, 100, 100], [96, 95, 120])
        self.assertEqual(code, 0)
        self.assertRegex(text, r"(?m)^base abc1234, 3 pairs each$")
        self.assertRegex(text, r"(?m)^w +100 +96 +0\.960$")

    def test_builds_take_turns_in_the_other_order_each_time(self):
        self.one([100] * 3, [100] * 3)
        self.assertEqual(FakeContender.asked, ["base", "tree", "tree", "base", "base", "tree"])

    def test_slower_is_measured_again_and_fails_when_that_confirms_it(self):
        code, text = self.one([100] * 9, [94] * 9)
        self.assertEqual(code, 1)
        self.assertEqual(len(FakeContender.asked), 2 * (3 + 6))
        self.assertRegex(text, r"(?m)^w +100 +94 +0\.940  SLOWER$")
        self.assertTrue(text.endswith("slower than 0.95 of the base: w\n"), text)

    def test_slower_once_passes(self):
        code, text = self.one([100] * 9, [94] * 3 + [99] * 6)
        self.assertEqual(code, 0)
        self.assertRegex(text, r"(?m)^w +100 +99 +0\.990$")

    def test_what_the_base_does_not_know_is_named(self):
        code, text = self.run_main({("tree", "w"): [100]}, "w")
        self.assertEqual(code, 0)
        self.assertRegex(text, r"(?m)^w +is unknown to the base$")


if __name__ == "__main__":
    unittest.main()
