"""The files that belong to the project: tracked, or new and not ignored."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def project_files(suffixes, root=ROOT, names=()):
    """Paths relative to `root` that end in one of `suffixes` or are listed in `names`."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
        check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(path for path in set(listed)
                  if (path.endswith(tuple(suffixes)) or path in names) and (root / path).is_file())
