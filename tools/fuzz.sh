#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds the fuzz targets with clang and libFuzzer and runs each for some seconds, starting from
# test/fuzz/corpus/. New inputs and findings stay in the build folder; a finding ends the run with
# its exit code, and belongs into the corpus together with the fix.
#
#   tools/fuzz.sh [-s SECONDS] [-b BUILD_FOLDER] [TARGET…]
set -eu

seconds=60
root=$(cd "$(dirname "$0")/.." && pwd)
build="$root/build/fuzz"
while getopts s:b: option; do
    case $option in
    s) seconds=$OPTARG ;;
    b) build=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

if [ ! -f "$build/build.ninja" ]; then
    CC=${CC:-clang-14} meson setup "$build" "$root" -Dfuzz=true -Dc_args=-fsanitize=fuzzer-no-link \
        -Db_sanitize=address,undefined -Db_lundef=false
fi
if [ $# -eq 0 ]; then
    for corpus in "$root"/test/fuzz/corpus/*/; do
        set -- "$@" "$(basename "$corpus")"
    done
fi

for target; do
    ninja -C "$build" "test/fuzz/fuzz-$target"
    mkdir -p "$build/corpus/$target" "$build/findings"
    echo "== $target, $seconds s"
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$build/test/fuzz/fuzz-$target" \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$build/findings/$target-" \
        "$build/corpus/$target" "$root/test/fuzz/corpus/$target"
done
