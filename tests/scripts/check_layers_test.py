import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import check_layers  # noqa: E402


class CheckLayersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.layers = check_layers.parse_table((ROOT / "docs/architecture.md").read_text())

    def found(self, sources):
        return [f"{path}:{line}: {rule}"
                for path, line, rule in check_layers.check(self.layers, sources)]

    def test_downward_include_is_allowed(self):
        self.assertEqual(self.found({
            "ingot/base/shape.h": "",
            "ingot/ops/conv.cpp": '#include <vector>\n#include "ingot/base/shape.h"\n',
        }), [])

    def test_upward_include_is_named(self):
        self.assertEqual(self.found({
            "ingot/ops/op.h": "",
            "ingot/ir/graph.h": '#pragma once\n\n#include "ingot/ops/op.h"\n',
        }), ["ingot/ir/graph.h:3: ingot/ir may not include ingot/ops (only ingot/base)"])

    def test_base_includes_nothing_of_ours(self):
        self.assertEqual(self.found({
            "ingot/memory/pool.h": "",
            "ingot/base/error.cpp": '#include "ingot/memory/pool.h"\n',
        }), ["ingot/base/error.cpp:1: ingot/base may not include ingot/memory "
             "(only nothing of ours)"])

    def test_siblings_may_not_include_each_other(self):
        for one, other in (("nn", "optim"), ("optim", "nn"), ("autodiff", "passes"),
                           ("passes", "autodiff"), ("data", "io"), ("io", "data"),
                           ("backends/cpu", "backends/reference"),
                           ("backends/cuda", "backends/metal")):
            found = self.found({
                f"ingot/{other}/b.h": "",
                f"ingot/{one}/a.cpp": f'#include "ingot/{other}/b.h"\n',
            })
            self.assertEqual(len(found), 1, (one, other))
            self.assertIn(f"ingot/{one} may not include ingot/{other}", found[0])

    def test_io_reaches_ops_and_data_does_not(self):
        text = '#include "ingot/ops/op.h"\n'
        found = self.found({"ingot/ops/op.h": "", "ingot/io/a.cpp": text, "ingot/data/a.cpp": text})
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].startswith("ingot/data/a.cpp:1: "))

    def test_engine_and_train_do_not_reach_a_backend(self):
        for room in ("engine", "train"):
            found = self.found({
                "ingot/backends/all_backends.inc": "",
                f"ingot/{room}/a.cpp": '#include "ingot/backends/all_backends.inc"\n',
            })
            self.assertEqual(len(found), 1, room)

    def test_apps_and_tests_reach_what_they_need(self):
        self.assertEqual(self.found({
            "ingot/backends/all_backends.inc": "",
            "ingot/backends/cpu/conv.h": "",
            "ingot/train/trainer.h": "",
            "apps/ingot/main.cpp": '#include "ingot/train/trainer.h"\n'
                                   '#include "ingot/backends/all_backends.inc"\n',
            "tests/backends/a_test.cpp": '#include <gtest/gtest.h>\n'
                                         '#include "ingot/backends/cpu/conv.h"\n',
        }), [])

    def test_library_does_not_include_tests(self):
        found = self.found({
            "tests/support/a.h": "",
            "ingot/train/a.cpp": '#include "tests/support/a.h"\n',
        })
        self.assertEqual(len(found), 1)

    def test_path_must_start_at_the_root_and_exist(self):
        found = self.found({
            "ingot/base/error.h": "",
            "ingot/base/a.cpp": '#include "error.h"\n#include "ingot/base/none.h"\n'
                                '#include <ingot/base/error.h>\n',
        })
        self.assertEqual(found, [
            'ingot/base/a.cpp:1: "error.h" is not a file of this project: '
            'give its path from the root',
            'ingot/base/a.cpp:2: "ingot/base/none.h" does not exist',
            'ingot/base/a.cpp:3: include "ingot/base/error.h" with quotes, '
            'it is a file of this project',
        ])

    def test_folder_outside_the_table(self):
        self.assertEqual(self.found({"ingot/attic/a.cpp": ""}), [
            "ingot/attic/a.cpp:1: this folder is not in the table in docs/architecture.md"])

    def test_heavy_header_in_a_header(self):
        for header, name in (("nlohmann/json.hpp", "nlohmann-json"), ("CLI/CLI.hpp", "CLI11"),
                             ("toml++/toml.h", "toml++")):
            self.assertEqual(self.found({"ingot/io/a.h": f"#include <{header}>\n"}), [
                f"ingot/io/a.h:1: {name} may not be included by a header"])

    def test_heavy_header_in_a_third_source(self):
        text = "#include <nlohmann/json.hpp>\n"
        self.assertEqual(self.found({f"ingot/io/{name}.cpp": text for name in "ab"}), [])
        self.assertEqual(self.found({f"ingot/io/{name}.cpp": text for name in "abc"}), [
            "ingot/io/c.cpp:1: nlohmann-json may be included by at most 2 .cpp files, "
            "this is one more"])

    def test_confined_headers(self):
        self.assertEqual(self.found({
            "ingot/backends/cpu/a.cpp": "#include <oneapi/dnnl/dnnl.h>\n#include <hwy/highway.h>\n",
        }), [])
        found = self.found({
            "ingot/nn/a.cpp": "#include <oneapi/dnnl/dnnl.hpp>\n#include <hwy/highway.h>\n"
                              "#include <omp.h>\n#include <gtest/gtest.h>\n",
        })
        self.assertEqual(found, [
            "ingot/nn/a.cpp:1: oneDNN headers may be included only under "
            "ingot/backends/cpu/, bench/",
            "ingot/nn/a.cpp:2: Highway headers may be included only under "
            "ingot/backends/cpu/, bench/",
            "ingot/nn/a.cpp:3: OpenMP headers may be included only under "
            "ingot/backends/cpu/, bench/",
            "ingot/nn/a.cpp:4: GoogleTest headers may be included only under tests/",
        ])

    def test_commented_includes_do_not_count(self):
        self.assertEqual(self.found({
            "ingot/nn/a.cpp": '// #include <omp.h>\n/*\n#include <omp.h>\n*/\n',
        }), [])

    def test_table_must_be_there(self):
        with self.assertRaisesRegex(ValueError, 'no section "The house"'):
            check_layers.parse_table("# Architecture\n")
        with self.assertRaisesRegex(ValueError, "has no table"):
            check_layers.parse_table("## The house\n\nwords\n")
        with self.assertRaisesRegex(ValueError, "names `b`, which has no row"):
            check_layers.parse_table("## The house\n| `a/` | x | `b` |\n")


if __name__ == "__main__":
    unittest.main()
