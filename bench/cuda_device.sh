#!/usr/bin/env bash
# What a machine with an NVIDIA GPU is asked: conformance on the device, then benchmarks.
#
#   bench/cuda_device.sh BIN [PART...]     parts: doctor conformance bench peers
#
# BIN holds `ingot` and `test_conformance`; results go to $OUT (default: out/).
set -u
bin=$1
shift
parts=${*:-doctor conformance bench}
out=${OUT:-out}
mkdir -p "$out"
export INGOT_FALLBACK=error

for part in $parts; do
  echo "== $part"
  case $part in
    doctor) "$bin/ingot" doctor 2>&1 | tee "$out/doctor.txt" ;;
    conformance)
      timeout 150 "$bin/test_conformance" --gtest_filter='*/cuda' >"$out/conformance.txt" 2>&1
      grep -E "^\[  (FAILED|PASSED)" "$out/conformance.txt" | sort -u | head -40
      tail -5 "$out/conformance.txt"
      ;;
    bench)
      for workload in seed-cnn mlp784 gometal-cnn; do
        timeout 60 "$bin/ingot" bench "$workload" --device cuda 2>&1 | tee -a "$out/bench.txt"
        timeout 60 "$bin/ingot" bench "$workload" --device cuda --steps-per-call 64 2>&1 |
          tee -a "$out/bench.txt"
      done
      ;;
    resnet)
      timeout 100 "$bin/ingot" bench resnet18-cifar --batch 512 --device cuda 2>&1 |
        tee -a "$out/bench.txt"
      ;;
    peers) ONLY=${ONLY:-} python3 "$(dirname "$0")/peers/peers_gpu.py" 2>&1 | tee "$out/peers.txt" ;;
    *) echo "no such part: $part" && exit 2 ;;
  esac
done
