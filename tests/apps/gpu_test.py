"""The command on a GPU, the emulated one (tests/emulator): skipped where that is not built."""
import ctypes
import ctypes.util
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

INGOT = Path(sys.argv.pop()).resolve()
EMULATOR = INGOT.parent.parent / "emulator"


@unittest.skipUnless((EMULATOR / "libcuda.so.1").exists(), "the emulated GPU is not built")
class Gpu(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_ingot(self, *words, visible=None, trace=None, libraries=None):
        environment = {key: value for key, value in os.environ.items()
                       if key != "CUDA_VISIBLE_DEVICES"}
        paths = [str(libraries or EMULATOR), environment.get("LD_LIBRARY_PATH", "")]
        environment |= {"LD_LIBRARY_PATH": ":".join(filter(None, paths)),
                        "XDG_CACHE_HOME": str(EMULATOR / "cache")}
        if trace is not None:
            environment["INGOT_TRACE"] = trace
        if visible is not None:
            environment["CUDA_VISIBLE_DEVICES"] = visible
        return subprocess.run([INGOT, *words], capture_output=True, text=True, env=environment,
                              cwd=self.folder)

    def test_doctor_says_what_is_there(self):
        done = self.run_ingot("doctor")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for fact in ("device cuda:", "  gpu +emulated GPU", r"  capability +9\.0",
                     r"  memory +[\d.]+ GiB, [\d.]+ free", r"  driver +for CUDA \d+\.\d+",
                     "  visible +1, the first is used; CUDA_VISIBLE_DEVICES is unset",
                     r"  nvrtc +\S.*", r"  cudnn +\S.*", r"  nccl +\S.*"):
            self.assertRegex(done.stdout, f"(?m)^{fact}$")
        lacking = [line.split()[0] for line in done.stdout.splitlines()
                   if " missing" in line and line.startswith("  ")]
        self.assertEqual(done.stdout.splitlines()[-1],
                         "missing, each with its remedy above: " + ", ".join(lacking)
                         if lacking else "nothing is missing")
        done = self.run_ingot("doctor", visible="0")
        self.assertRegex(done.stdout,
                         "(?m)^  visible +1, the first is used; CUDA_VISIBLE_DEVICES is 0$")

    def test_a_gpu_that_is_not_visible_is_not_used(self):
        text = ('device "cuda": must have a GPU and its driver, got none that '
                'CUDA_VISIBLE_DEVICES="{}" leaves visible\nhelp: see nvidia-smi -L\n')
        for visible in ("", "1"):
            done = self.run_ingot("doctor", visible=visible)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("device cuda: not here\n  " + text.format(visible), done.stdout)
            done = self.run_ingot("bench", "seed-cnn", "--device", "cuda", visible=visible)
            self.assertEqual((done.returncode, done.stderr), (1, "error: " + text.format(visible)))

    def test_libraries_that_are_others_are_named(self):
        other = ctypes.util.find_library("m")
        for name, text in (
                ("libcuda.so.1", 'device "cuda": must have a GPU and its driver, got a CUDA driver '
                 "without {}\nhelp: Ingot needs a driver for CUDA 13 (580 or newer)\n"),
                ("libnvrtc.so.13", 'device "cuda": must be able to compile kernels, got an NVRTC '
                 "without {}\nhelp: install CUDA's NVRTC, for example with pip install "
                 "nvidia-cuda-nvrtc\n")):
            folder = Path(self.folder) / name.partition(".")[0]
            folder.mkdir()
            for library in ("libcuda.so.1", "libnvrtc.so.13"):
                target = EMULATOR / library if library != name else self.path_of(other)
                (folder / library).symlink_to(target)
            done = self.run_ingot("bench", "seed-cnn", "--device", "cuda", "--batch", "2",
                                  "--fixed", "1", libraries=folder)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "^error: " + re.escape(text).replace(r"\{\}", r"\w+") + "$")

    @staticmethod
    def path_of(library):
        """Of a library that the dynamic linker finds by this name."""
        ctypes.CDLL(library)
        for line in Path("/proc/self/maps").read_text().splitlines():
            if library in line:
                return line.split()[-1]
        raise FileNotFoundError(library)

    def test_each_byte_that_a_bench_allocates_was_planned(self):
        for steps in ("1", "4"):
            done = self.run_ingot("bench", "seed-cnn", "--device", "cuda", "--batch", "2", "--steps",
                                  "2", "--steps-per-call", steps, "--check", "none", "--json")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            result = json.loads(done.stdout)
            self.assertEqual(result["device_bytes"], result["planned_device_bytes"])
            owners = result["planned_device_owners"]
            self.assertEqual(sum(owners.values()), result["planned_device_bytes"])
            # Eight batches of two images and labels, with 1024 and 16 elements to spare a call.
            calls = 8 // int(steps)
            self.assertEqual(owners["batches to feed"],
                             4 * (8 * 2 * (3 * 32 * 32 + 1) + calls * (1024 + 16)))
            self.assertGreater(owners["control record"], 0)

    def test_what_takes_memory_is_traced(self):
        done = self.run_ingot("bench", "seed-cnn", "--device", "cuda", "--steps", "1", "--check",
                              "none", trace="memory")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r'^ingot memory: device "cuda:0": \+\d+\.\d MiB in use, '
                         r"\d+\.\d in all: what was planned, and libraries\n")

    def test_a_profile_has_an_event_for_each_part_of_a_kernel(self):
        file = Path(self.folder) / "profile.json"
        done = self.run_ingot("bench", "seed-cnn", "--device", "cuda", "--batch", "2", "--steps", "1",
                              "--check", "none", "--profile", str(file))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        events = json.loads(file.read_text())["traceEvents"]
        self.assertTrue(any("barrier" in event["name"] for event in events), events)
        for event in events:
            self.assertEqual((event["ph"], event["pid"], event["tid"]), ("X", 0, 0))

    def test_a_plan_says_what_is_allocated(self):
        done = self.run_ingot("plan", "seed-cnn", "--device", "cuda", "--batch", "2")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in (r"allocated with feeds on the device, one step a call: [\d.]+ MiB \(\d+ bytes\)",
                     r"allocated with feeds on the host, one step a call: [\d.]+ MiB \(\d+ bytes\)",
                     r" +[\d.]+ MiB  parameter", r" +[\d.]+ MiB  scratch arena",
                     r" +0\.00 MiB  control record",
                     r' +[\d.]+ MiB  feed "input", on its way from the host'):
            self.assertRegex(done.stdout, f"(?m)^{line}$")


if __name__ == "__main__":
    unittest.main()
