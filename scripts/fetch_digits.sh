#!/usr/bin/env bash
# Fetch the 5,000 handwritten digits that the demo trains on.
#
# usage: fetch_digits.sh [FILE]    (default: ${XDG_CACHE_HOME:-~/.cache}/ingot/digits.png)
#
# Downloads Debian's (or Ubuntu's) package opencv-doc with apt into a temporary folder, takes the
# one file digits.png out of it and keeps only that. Nothing is installed, no root is needed, and
# nothing happens when FILE is there already. Prints FILE.
set -euo pipefail

file=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ingot/digits.png}
inside=usr/share/doc/opencv-doc/examples/data/digits.png

remedy="put any copy of OpenCV's samples/data/digits.png at $file"

fail() {
  echo "fetch_digits: $1" >&2
  echo "help: ${2:-$remedy}" >&2
  exit 1
}

is_png() { [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ]; }

if [ -s "$file" ]; then
  is_png "$file" || fail "$file must be a PNG image, got another file" "remove it and run this again"
  echo "$file"
  exit 0
fi

for tool in apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || fail "$tool must be installed, got a system without it"
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

echo "fetch_digits: downloading the package opencv-doc (about 95 MB)" >&2
if ! (cd "$folder" && apt-get download opencv-doc) >"$folder/log" 2>&1; then
  cat "$folder/log" >&2
  fail "the package opencv-doc must be downloadable, got the apt errors above" \
    "check the network and run apt-get update; or $remedy"
fi

# Some versions of the package hold the file compressed.
dpkg-deb --fsys-tarfile "$folder"/opencv-doc_*.deb |
  tar -x -C "$folder" --wildcards "./$inside*" 2>/dev/null || true
if [ -s "$folder/$inside.gz" ]; then gunzip "$folder/$inside.gz"; fi
{ [ -s "$folder/$inside" ] && is_png "$folder/$inside"; } ||
  fail "the package opencv-doc must hold $inside, got none"

mkdir -p "$(dirname "$file")"
# Copied beside FILE and renamed, so that an interrupted run leaves no half of it.
cp "$folder/$inside" "$file.part.$$"
mv "$file.part.$$" "$file"
echo "$file"
