import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import check_docs_snippets as snippets  # noqa: E402

PAGE = """# Page

```cpp
not marked
```

```cpp run
int main() {}
```

```text output
hello
```

````cpp compile
```
````

```sh run
ingot --help
```
"""


class ExtractTest(unittest.TestCase):
    def test_only_marked_blocks(self):
        found = snippets.extract("docs/page.md", PAGE)
        self.assertEqual([(one.where(), one.kind, one.code, one.output) for one in found], [
            ("docs/page.md:8", "cpp run", "int main() {}\n", "hello\n"),
            ("docs/page.md:16", "cpp compile", "```\n", None),
            ("docs/page.md:20", "sh run", "ingot --help\n", None),
        ])

    def test_misspelt_mark(self):
        with self.assertRaisesRegex(ValueError, 'page.md:2: "cpp runs" is none of cpp run'):
            snippets.extract("page.md", "```cpp runs\n```\n")

    def test_output_without_a_run(self):
        with self.assertRaisesRegex(ValueError, "page.md:2: an output block needs a run block"):
            snippets.extract("page.md", "```text output\nhello\n```\n")


class RunTest(unittest.TestCase):
    def problem(self, code, output=None):
        snippet = snippets.Snippet("page.md", 1, "sh run", code, output)
        with tempfile.TemporaryDirectory() as folder:
            return snippets.run(snippet, ["bash", "-euo", "pipefail", "-c", code],
                                Path(folder) / "run", None)

    def test_exit_code(self):
        self.assertIsNone(self.problem("true"))
        self.assertEqual(self.problem("echo out; false"), "exit code 1\nout\n")

    def test_output(self):
        self.assertIsNone(self.problem("echo hello", "hello\n"))
        self.assertEqual(self.problem("echo hullo", "hello\n"),
                         "the page says\nhello\nand it printed\nhullo\n")


if __name__ == "__main__":
    unittest.main()
