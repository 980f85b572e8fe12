#!/usr/bin/env bash
# What a machine with an NVIDIA GPU is asked: is it right, how fast is it, and how fast are the peers.
#
#   bench/cuda_device.sh BIN [PART...]
#
# Parts: doctor conformance sanitizer steps check small first nets peers (default: all but steps and
# peers; steps needs `test_engine` and `test_engine_slow` in BIN), and two
# that hold workloads with their peers, so that both are measured on one machine within one call:
#   call1   first, small, resnet18-cifar, and the peers of seed-cnn to resnet18-cifar
#   call2   resnet50 in bf16 and f16, and its peers
#   everything  both, the peers' compilers running beside conformance and steps
# Each ends LIMIT seconds (570) after the script began; what has no time left says so.
# BIN holds `ingot` and `test_conformance`; results go to $OUT (default: out/), a file a part.
# TUNE=off|quick|full is the tuning level of `nets` (full), SMALL_TUNE that of gometal-cnn. Compiled kernels and tuned choices are
# kept below $OUT/cache, which `first` begins with empty.
set -u
bin=$(cd "$1" && pwd)
shift
parts=${*:-doctor conformance sanitizer check small first nets}
out=$(mkdir -p "${OUT:-out}" && cd "${OUT:-out}" && pwd)
mkdir -p "$out/cache"
export INGOT_FALLBACK=error XDG_CACHE_HOME=$out/cache INGOT_TUNE_DIR=$out/cache
tune=${TUNE:-full}

# bench SECONDS WORDS...: one run of `ingot bench` on the device.
bench() {
  local limit=$1
  shift
  echo "-- ingot bench $*"
  timeout "$limit" "$bin/ingot" bench "$@" --device cuda 2>&1 || echo "FAILED ($?)"
}

doctor() { "$bin/ingot" doctor 2>&1; }

conformance() {
  local shards=${SHARDS:-14} i started=()
  mkdir -p "$out/shards"
  for ((i = 0; i < shards; i++)); do
    GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$i timeout 150 "$bin/test_conformance" \
      --gtest_filter='*/cuda' >"$out/shards/$i.txt" 2>&1 &
    started+=($!)
  done
  wait "${started[@]}"
  grep -hE "^\[  (FAILED|PASSED|SKIPPED)" "$out"/shards/*.txt | sort | uniq -c | head -40
  rm -r "$out/shards"
}

sanitizer() {
  local tool
  for tool in memcheck racecheck; do
    echo "-- compute-sanitizer --tool $tool"
    timeout 60 compute-sanitizer --tool "$tool" "$bin/test_conformance" \
      --gtest_filter='softmax.*/cuda:batch_norm.*/cuda:max_pool2d*/cuda:matmul.*/cuda:conv2d.*/cuda' \
      2>&1 | tail -4
  done
}

# Whole steps in both forms; thousands of them, equal to the bit and in the memory that is planned.
steps() {
  timeout 120 "$bin/test_engine" --gtest_brief=1 --gtest_filter='GpuSteps.*:GpuMemory.*' 2>&1 | tail -20
  timeout 240 "$bin/test_engine_slow" --gtest_brief=1 --gtest_filter='GpuLong.*' 2>&1 | tail -20
}

# The first step of every workload against the reference and the unfused step.
check() {
  local model precision
  for model in seed-cnn mlp784 gometal-cnn resnet18-cifar resnet50; do
    for precision in f32 tf32 bf16 f16; do
      bench 120 "$model" --batch 8 --steps 1 --precision "$precision" | grep -E "^--|checked|FAILED|error"
    done
  done
}

small() {
  local model
  for model in seed-cnn mlp784; do
    bench 30 "$model" --check reference
    bench 30 "$model" --check none --steps-per-call 64
  done
  bench 60 gometal-cnn --precision tf32 --tune "${SMALL_TUNE:-full}" --check reference
}

# From process start to the first finished step, with nothing compiled and with everything.
first() {
  local cache
  rm -rf "$out/cache"
  mkdir "$out/cache"
  for cache in cold warm; do
    echo "-- $cache"
    bench 30 seed-cnn --steps 1 --check none | grep "first step"
    bench 90 resnet50 --batch 256 --precision bf16 --tune quick --steps 1 --check none |
      grep "first step"
  done
}

resnet18() { bench 120 resnet18-cifar --batch 512 --precision bf16 --tune "$tune" --check none; }

resnet50() {
  bench 180 resnet50 --batch 256 --precision bf16 --tune "$tune" --check none
  bench 180 resnet50 --batch 256 --precision f16 --tune "$tune" --check none
}

nets() { resnet18; resnet50; }

# peers_of torch|jax WORKLOAD...: rows of one peer, one workload after the other.
peers_of() {
  local left=$((${LIMIT:-570} - SECONDS))
  [ "$left" -gt 20 ] || { echo "-- no time left for $*" && return; }
  timeout "$left" python3 "$(dirname "$0")/peers/peers_gpu.py" "$@" --budget "$((left - 30))" \
    --json "$out/peers.jsonl" 2>&1 || echo "-- $*: ended with $?"
}

small_peers() {
  peers_of torch seed-cnn mlp784 gometal-cnn resnet18-cifar
  peers_of jax seed-cnn mlp784 gometal-cnn resnet18-cifar
}

resnet50_peers() {
  peers_of torch resnet50 resnet50-f16
  peers_of jax resnet50 resnet50-f16
}

peers() { small_peers; resnet50_peers; }

call1() { first; small; resnet18; small_peers; }

call2() { resnet50; resnet50_peers; }

# peers_in_turn COMMAND: every peer's process prepares at once, beside COMMAND; then each measures
# alone. One that is not ready after PEERS_LIMIT seconds (240) is ended.
peers_in_turn() {
  local turn=$out/turn log=$out/peers limit=${PEERS_LIMIT:-240} words job ready=0 began=$SECONDS
  local started=()
  rm -rf "$turn" "$log" && mkdir "$turn" "$log"
  local jobs=("torch seed-cnn compile-graph" "torch mlp784 autotune-graph"
    "torch gometal-cnn compile-graph" "torch resnet18-cifar compile-graph"
    "torch resnet50 compile-graph" "torch resnet50-f16 compile-graph" "jax seed-cnn scan"
    "jax mlp784 scan" "jax gometal-cnn scan" "jax resnet18-cifar jit" "jax resnet50 jit")
  for words in "${jobs[@]}"; do
    # shellcheck disable=SC2086 -- a job is three words
    python3 "$(dirname "$0")/peers/peers_gpu.py" ${words% *} --modes "${words##* }" \
      --turn "$turn" --json "$out/peers.jsonl" >"$log/${words// /-}.txt" 2>&1 &
    started+=($!)
  done
  "$@"
  while [ $((SECONDS - began)) -lt "$limit" ]; do
    ready=0
    for job in "${started[@]}"; do
      if [ -e "$turn/ready-$job" ] || ! kill -0 "$job" 2>/dev/null; then ready=$((ready + 1)); fi
    done
    [ "$ready" -lt "${#started[@]}" ] || break
    sleep 1
  done
  echo "-- $ready of ${#started[@]} peers are ready after $((SECONDS - began)) s"
  for job in "${started[@]}"; do
    [ -e "$turn/ready-$job" ] || kill -9 "$job" 2>/dev/null
  done
  touch "$turn/go"
  wait "${started[@]}"
  grep -hE "\\||FAILED|Error" "$log"/*.txt
}

# Everything of the tables: peers prepare while `proofs` runs, then all that is timed runs alone.
proofs() { conformance; steps; }
everything() { peers_in_turn proofs; first; small; nets; }

for part in $parts; do
  case $part in
    doctor | conformance | sanitizer | steps | check | small | first | nets | peers | call1 | call2 | everything)
      echo "== $part"
      "$part" | tee "$out/$part.txt"
      ;;
    *) echo "no such part: $part" && exit 2 ;;
  esac
done
