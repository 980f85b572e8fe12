#!/usr/bin/env bash
# What a machine with an NVIDIA GPU is asked: is it right, how fast is it, and how fast are the peers.
#
#   bench/cuda_device.sh BIN [PART...]
#
# Parts: doctor conformance sanitizer steps beside fifty check small first nets peers (default: all
# but steps, beside, fifty and peers), and two that hold workloads with their peers, so that both are
# measured on one machine within one call:
#   call1   first, small, resnet18-cifar, and the peers of seed-cnn to resnet18-cifar
#   call2   resnet50 in bf16 and f16, and its peers
#   everything  both, the peers' compilers running beside conformance and steps
# Each ends LIMIT seconds (570) after the script began; what has no time left says so.
# BIN holds `ingot`, `test_conformance`, `test_engine`, for `steps` `test_engine_slow`, and for `fifty`
# `test_bench_slow`; results go to $OUT (default: out/), a file a part.
# TUNE=off|quick|full is the tuning level of `nets` (full), SMALL_TUNE that of gometal-cnn. Compiled
# kernels and tuned choices are kept below $OUT/cache, which `first` begins with empty.
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

# sharded PROGRAM FILTER: runs tests in several processes, their output to $out/PROGRAM.
sharded() {
  local shards=${SHARDS:-14} i started=()
  mkdir -p "$out/$1"
  for ((i = 0; i < shards; i++)); do
    GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$i timeout 200 "$bin/$1" \
      --gtest_filter="$2" >"$out/$1/$i.txt" 2>&1 || echo "shard $i: FAILED ($?)" &
    started+=($!)
  done
  wait "${started[@]}"
}

conformance() {
  sharded test_conformance '*/cuda'
  grep -hE "^\[  (FAILED|PASSED|SKIPPED)" "$out"/test_conformance/*.txt | sort | uniq -c | head -40
  rm -r "$out/test_conformance"
}

# Some ops, a step that is a captured graph and one that is one kernel; all at once.
sanitizer() {
  local tool started=()
  mkdir -p "$out/sanitizer"
  for tool in memcheck racecheck initcheck synccheck; do
    sanitize "$tool" test_conformance \
      'softmax.*/cuda:batch_norm.*/cuda:max_pool2d*/cuda:matmul.*/cuda:conv2d.*/cuda' &
    started+=($!)
    sanitize "$tool" test_engine 'GpuSteps.ACapturedStepTrainsAsTheReferenceDoes' &
    started+=($!)
    sanitize "$tool" test_engine 'GpuSteps.OneKernelTrainsAsTheReferenceDoes' &
    started+=($!)
  done
  wait "${started[@]}"
  cat "$out"/sanitizer/*.txt
  rm -r "$out/sanitizer"
}

# sanitize TOOL PROGRAM FILTER
sanitize() {
  {
    echo "-- compute-sanitizer --tool $1 $2 --gtest_filter=$3"
    timeout 60 compute-sanitizer --tool "$1" --print-limit 2 "$bin/$2" --gtest_filter="$3" 2>&1 |
      grep -E "^========= |FAILED|PASSED" | tail -12
    echo "ended with ${PIPESTATUS[0]}"
  } >"$out/sanitizer/$1-$2-$(tr -dc "a-zA-Z" <<<"${3:0:14}").txt"
}

# 50 nets of the seeded generator: how many become at most 4 nodes (45 must), how many are right.
fifty() {
  sharded test_bench_slow '*SmallNetsOnAGpu*'
  grep -hE "^net [0-9]+:" "$out"/test_bench_slow/*.txt | sort -k 2n |
    awk '{ print; few += $3 <= 4; right += $NF == "right" }
         END { print few " in at most 4 nodes, " right " right, of " NR }'
  rm -r "$out/test_bench_slow"
}

# Training beside a right device: 20 steps from the same weights, 100 free-running. The reference
# is too slow for convolutions of many channels; there the CPU backend stands in. BESIDE names the
# workloads (all five), whose precisions run at once.
beside() {
  local model precision started=()
  mkdir -p "$out/beside"
  for model in ${BESIDE:-seed-cnn mlp784 gometal-cnn resnet18-cifar resnet50}; do
    local words=(--lr 0.005)
    case $model in
      gometal-cnn) words+=(--against cpu --threads 1) ;;
      resnet18-cifar) words=(--lr 0.0003 --batch 8 --against cpu --threads 2) ;;
      resnet50) words=("${resnet50_beside[@]}") ;;
    esac
    for precision in f32 tf32 bf16 f16; do
      train_beside "$model" "$precision" "${words[@]}" &
      started+=($!)
    done
  done
  wait "${started[@]}"
  cat "$out"/beside/*.txt
  rm -r "$out/beside"
}

resnet50_beside=(--lr 0.00003 --batch 8 --side 64 --against cpu --threads 4)

# train_beside MODEL PRECISION WORDS...
train_beside() {
  bench 200 "$1" --precision "$2" --check steps "${@:3}" >"$out/beside/$1-$2.txt"
}

# Whole steps in both forms; thousands of them, equal to the bit and in the memory that is planned.
steps() {
  sharded test_engine 'GpuSteps.*:GpuEarlySteps.*:GpuMemory.*:GpuFeeds.*'
  grep -hE "^\[  (FAILED|PASSED|SKIPPED)" "$out"/test_engine/*.txt | sort | uniq -c
  rm -r "$out/test_engine"
  timeout 240 "$bin/test_engine_slow" --gtest_brief=1 --gtest_filter='GpuLong.*' 2>&1 | tail -20
}

# The first step of every workload against the reference and the unfused step; all at once.
check() {
  local model precision started=()
  mkdir -p "$out/checked"
  for model in seed-cnn mlp784 gometal-cnn resnet18-cifar resnet50; do
    for precision in f32 tf32 bf16 f16; do
      bench 200 "$model" --batch 8 --steps 1 --precision "$precision" --threads 1 \
        >"$out/checked/$model-$precision.txt" &
      started+=($!)
    done
  done
  wait "${started[@]}"
  grep -hE "^--|checked|FAILED|error" "$out"/checked/*.txt
  rm -r "$out/checked"
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
    bench 30 seed-cnn --steps 1 --check none | grep -E "first step|modules"
    bench 90 resnet50 --batch 256 --precision bf16 --tune quick --steps 1 --check none |
      grep -E "first step|modules"
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
  ready=0
  for job in "${started[@]}"; do
    if [ -e "$turn/ready-$job" ]; then ready=$((ready + 1)); else kill -9 "$job" 2>/dev/null; fi
  done
  echo "-- $ready of ${#started[@]} peers are ready after $((SECONDS - began)) s"
  touch "$turn/go"
  wait "${started[@]}"
  grep -hE "\\||FAILED|Error" "$log"/*.txt
}

# Everything of the tables: peers prepare while `proofs` runs, then all that is timed runs alone.
proofs() {
  local started=() part
  mkdir -p "$out/beside"
  for part in conformance steps fifty; do
    "$part" >"$out/$part.txt" 2>&1 &
    started+=($!)
  done
  for part in f32 bf16; do
    train_beside resnet50 "$part" "${resnet50_beside[@]}" &
    started+=($!)
  done
  wait "${started[@]}"
  cat "$out"/{conformance,steps,fifty}.txt "$out"/beside/*.txt
}
everything() { peers_in_turn proofs; first; resnet18; small; resnet50; }

for part in $parts; do
  case $part in
    doctor | conformance | sanitizer | steps | beside | fifty | check | small | first | nets | peers | \
      call1 | call2 | everything)
      echo "== $part"
      "$part" | tee "$out/$part.txt"
      ;;
    *) echo "no such part: $part" && exit 2 ;;
  esac
done
