import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "count_instructions.py"
STRUCTURE = '{"kernels": 16, "reorders": 2, "bytes_moved": 1000}'


class CountInstructionsTest(unittest.TestCase):
    def run_script(self, valgrind):
        """The script with an `ingot` that only describes a step and a valgrind that runs `valgrind`,
        which finds the number of steps in $steps."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("ingot", f"echo '{STRUCTURE}'"), ("valgrind", valgrind)):
                program = Path(folder) / name
                program.write_text(
                    '#!/bin/sh\nsteps=$(echo "$*" | sed "s/.*--fixed \\([0-9]*\\).*/\\1/")\n' + text)
                program.chmod(0o755)
            return subprocess.run(
                [sys.executable, SCRIPT, "--ingot", Path(folder) / "ingot", "seed-cnn"],
                capture_output=True, text=True,
                env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})

    def test_counts_the_steps_after_the_first(self):
        done = self.run_script('echo "==1== Collected : $((500 + 1000 * steps))" >&2')
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"(?m)^seed-cnn +16 +2 +1,000 +1,000 \(batch 8\)$")

    def test_counts_inside_a_function_that_runs_steps(self):
        done = self.run_script('case "$*" in *"--toggle-collect=ingot::Executable::run_steps(*"*) '
                               'echo "Collected : $((7 * steps))" >&2;; esac')
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_no_instructions_are_a_failure(self):
        done = self.run_script('echo "Collected : 0" >&2')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "count_instructions: seed-cnn: steps must have instructions, "
                                      "got 0 inside ingot::Executable::run_steps()\n")
        self.assertRegex(done.stdout, r"(?m)^seed-cnn .* failed$")

    def test_steps_without_instructions_are_a_failure(self):
        done = self.run_script('echo "Collected : 500" >&2')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "count_instructions: seed-cnn: more steps must have more "
                                      "instructions, got 0 more\n")

    def test_a_crash_is_a_failure(self):
        done = self.run_script("echo oh >&2; exit 3")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "count_instructions: seed-cnn: must run under valgrind, got "
                                      "exit code 3\noh\n\n")


if __name__ == "__main__":
    unittest.main()
