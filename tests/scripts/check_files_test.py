import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import check_files  # noqa: E402
import slowest_units  # noqa: E402


class CheckFilesTest(unittest.TestCase):
    def found(self, path, text):
        return list(check_files.check_text(path, text))

    def test_length(self):
        self.assertEqual(self.found("a.cpp", "x\n" * 600), [])
        self.assertEqual(self.found("a.cpp", "x\n" * 601),
                         [(601, "601 lines, at most 600 are allowed")])
        self.assertEqual(self.found("a.md", "x\n" * 601), [])

    def test_unfinished(self):
        word = "TO" + "DO"
        self.assertEqual(self.found("a.h", f"x\n// {word}: later\n"),
                         [(2, f"{word}: finish it or leave it out")])
        self.assertEqual(self.found("a.h", f"int {word}s;\n"), [])

    def test_local_path(self):
        path = "/wo" + "rk/"
        self.assertEqual(self.found("a.py", f'open("{path}x")\n'),
                         [(1, f"{path}: a path of one machine")])
        self.assertEqual(self.found("a.py", f'open("some{path}x")\n'), [])


class SlowestUnitsTest(unittest.TestCase):
    def test_last_compilation_counts(self):
        log = ("# ninja log v5\n10\t20\t0\ta.cpp.o\tff\n10\t500\t0\tlib.a\tff\n"
               "0\t300\t0\ta.cpp.o\tee\n5\t105\t0\tb.cpp.o\tdd\n")
        self.assertEqual(slowest_units.parse_log(log), {"a.cpp.o": 300, "b.cpp.o": 100})


if __name__ == "__main__":
    unittest.main()
