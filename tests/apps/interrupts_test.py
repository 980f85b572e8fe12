"""The `ingot` command when something comes between: Ctrl-C, a reader that leaves, a terminal."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
import unittest

from ingot_command import DATA, START, CommandTest, main

MANY = ("--epochs", "100000", "--json")
ENDLESS = (*START, "--data", DATA, "--out", "run", *MANY)


class Interrupts(CommandTest):
    def expect_saved_and_resumable(self, process):
        output, errors = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, errors)
        last = json.loads(output.splitlines()[-1])
        self.assertEqual(last["event"], "interrupted")
        state = json.loads((self.folder / "run" / "state.json").read_text())
        self.assertEqual(state["step"], last["step"])
        return state

    def test_after_an_epoch(self):
        process = self.start_process(*ENDLESS)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        state = self.expect_saved_and_resumable(process)
        self.assertGreaterEqual(state["epoch"], 1)
        # What an uninterrupted run has after as many epochs.
        epochs = str(state["epoch"] + 2)
        self.train("--resume", "run", "--epochs", epochs, "--out", "rest")
        state["options"]["epochs"] = int(epochs)
        self.start("whole", "--epochs", epochs, "--schedule-epochs", "100000")
        self.assertEqual(self.files("rest"), self.files("whole"))

    def test_at_any_time(self):
        """From the first milliseconds (compiling) on; what is left is always a whole checkpoint."""
        for delay in (0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.15, 0.25):
            process = self.start_process(*ENDLESS)
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=120)
            if process.returncode == -signal.SIGINT:  # before the program's own first line
                self.assertEqual((output, errors), ("", ""))
                continue
            self.assertEqual(process.returncode, 130, errors)
            state = json.loads((self.folder / "run" / "state.json").read_text())
            self.assertEqual(json.loads(output.splitlines()[-1])["step"], state["step"])
            self.train("--resume", "run", "--epochs", str(state["epoch"] + 1), "--out", "rest")

    def test_twice_or_killed_leaves_the_last_checkpoint(self):
        self.start("run", "--epochs", "1", "--schedule-epochs", "100000")
        for sent in (signal.SIGINT, signal.SIGINT, signal.SIGKILL, signal.SIGKILL):
            process = self.start_process("--resume", "run", *MANY)
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            time.sleep(0.005)
            process.send_signal(sent)
            process.communicate(timeout=120)
            self.assertIn(process.returncode, (130, -signal.SIGINT, -signal.SIGKILL))
            self.assertEqual(self.run_ingot("eval", "run").returncode, 0)

    def test_in_text(self):
        process = self.start_process(*ENDLESS[:-1])
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130)
        self.assertRegex(output, r"interrupted after step \d+; continue with: ingot train --resume "
                         r"run\nrun folder run\n$")


class Output(CommandTest):
    def test_a_reader_that_leaves(self):
        """Training saves what it has; the other commands just say so."""
        process = self.start_process(*ENDLESS)
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        self.assertEqual(process.wait(timeout=120), 1)
        self.assertRegex(errors, r'\nerror: file "<stdout>": must be writable, got broken pipe\n'
                         r"note: saved after step \d+ in run\n$")
        self.assertEqual(self.run_ingot("eval", "run").returncode, 0)

    def test_a_full_disk_behind_stdout(self):
        for arguments in (("ops",), ("plan", "lenet"), ("doctor",)):
            with open("/dev/full", "w") as full:
                done = subprocess.run([self.ingot, *arguments], stdout=full, text=True,
                                      stderr=subprocess.PIPE, timeout=120)
            self.assertEqual(done.returncode, 1, arguments)
            # Before it, a line for each device that this build lacks.
            self.assertEqual(done.stderr.splitlines()[-1],
                             'error: file "<stdout>": must be writable, got no space left on device',
                             arguments)


class Terminal(CommandTest):
    def run_in_terminal(self, columns, term="xterm"):
        """What a run of some tenths of a second writes on a terminal of so many columns."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        process = self.start_process(*START, "--data", "synthetic:1x28x28:3:3000", "--epochs", "2", "--out",
                                     "run", stderr=theirs, env={**os.environ, "TERM": term})
        os.close(theirs)
        written = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other side was closed
                break
            if not piece:
                break
            written += piece
        os.close(ours)
        self.assertIn("test accuracy", process.stdout.read())
        self.assertEqual(process.wait(timeout=120), 0)
        return written.decode()

    def test_progress_bar(self):
        written = self.run_in_terminal(columns=200)
        number = r"\d+\.\d+"
        bars = [line for line in written.split("\r\x1b[K")[1:] if line]
        self.assertTrue(bars)
        for bar in bars:
            self.assertRegex(bar, rf"^\[#*-*\] epoch [12]/2  \d+/94  {number} steps/s  loss {number}"
                             rf"  accuracy {number} %  \d+:\d\d left$")
            self.assertEqual(bar.index("]"), 21)
        self.assertTrue(written.endswith("\r\x1b[K"))

    def test_progress_bar_never_wraps(self):
        for columns in (80, 40):
            written = self.run_in_terminal(columns)
            for bar in re.split(r"\r\x1b\[K|\n", written)[1:]:
                if bar.startswith(("[", "epoch")):
                    self.assertLess(len(bar), columns)

    def test_dumb_terminals_get_lines(self):
        self.assertNotIn("\x1b", self.run_in_terminal(columns=80, term="dumb"))


if __name__ == "__main__":
    main()
