#!/usr/bin/env bash
# usage: scripts/setup.sh [build|test|full]
# Installs what is missing to build Ingot (build, the default), to test it (test) or to run every
# check there is (full). Debian and Ubuntu through apt, macOS through Homebrew. Does nothing, and
# needs no rights, where everything is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:-build}
case $level in
  build | test | full) ;;
  *) echo "usage: scripts/setup.sh [build|test|full]" >&2; exit 2 ;;
esac

apt_build=(cmake ninja-build g++ libfmt-dev libdnnl-dev libhwy-dev nlohmann-json3-dev
           libcli11-dev libjpeg-dev libpng-dev zlib1g-dev)
apt_test=(libgtest-dev clang-19 libclang-rt-19-dev clang-format-19 python3 python3-venv git valgrind)
apt_full=(clang-tidy-19 g++-aarch64-linux-gnu qemu-user-static)
apt_arm64=(libfmt-dev:arm64 libjpeg-dev:arm64 libpng-dev:arm64 zlib1g-dev:arm64 libhwy-dev:arm64
           libgtest-dev:arm64)
brew_build=(cmake ninja fmt onednn libomp highway nlohmann-json cli11 jpeg-turbo libpng zlib)
brew_test=(googletest llvm@19 clang-format@19 python3 git)
brew_full=()

# as_root COMMAND...: runs it with the rights to install, or says what to run instead.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    sudo "$@"
  else
    echo "setup: cannot install: not root, and sudo is missing or would ask for a password." >&2
    echo "setup: missing are: ${missing[*]}" >&2
    echo "setup: install them, e.g. as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
}

if [ "$(uname)" = Darwin ]; then
  wanted=("${brew_build[@]}")
  [ "$level" = build ] || wanted+=("${brew_test[@]}")
  [ "$level" != full ] || wanted+=(${brew_full[@]+"${brew_full[@]}"})
  if ! command -v brew >/dev/null; then
    echo "setup: Homebrew (https://brew.sh) is needed to install: ${wanted[*]}" >&2
    exit 1
  fi
  missing=()
  for package in "${wanted[@]}"; do
    brew list --versions "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}"
    brew install "${missing[@]}"
  fi
elif command -v apt-get >/dev/null; then
  wanted=("${apt_build[@]}")
  [ "$level" = build ] || wanted+=("${apt_test[@]}")
  if [ "$level" = full ]; then
    wanted+=("${apt_full[@]}")
    # The NEON cross build links against Debian's own arm64 libraries. Ubuntu keeps those on
    # another server, which this script does not set up.
    if grep -qs '^ID=debian' /etc/os-release && [ "$(dpkg --print-architecture)" = amd64 ]; then
      wanted+=("${apt_arm64[@]}")
    fi
  fi
  missing=()
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}"
    case "${missing[*]}" in *:arm64*) as_root dpkg --add-architecture arm64 ;; esac
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends "${missing[@]}"
  fi
else
  echo "setup: this script knows apt (Debian, Ubuntu) and Homebrew (macOS); here, make sure that" >&2
  echo "setup: these are installed: ${apt_build[*]}" >&2
  [ "$level" = build ] || echo "setup: and for the tests: ${apt_test[*]}" >&2
fi

# The package that other people read checkpoints with, for the tests that do; they are skipped
# where it cannot be had.
python=build/python
if [ "$level" != build ] && ! "$python/bin/python3" -c 'import safetensors.numpy' 2>/dev/null; then
  echo "setup: installing the Python package safetensors into $python"
  { python3 -m venv "$python" && "$python/bin/python3" -m pip install -q numpy safetensors; } ||
    echo "setup: the package safetensors cannot be had; the tests with it are skipped" >&2
fi
