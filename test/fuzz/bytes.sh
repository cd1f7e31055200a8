# Sourced by run: libFuzzer, with AddressSanitizer and UBSan, on what parses bytes.
# Each target begins with what has made it fail before (found/TARGET) and with
# test/vectors; a new failure is left in build/fuzz, to be added there.
# shellcheck shell=bash

bytes_targets=(amount record tree proof export text escrow)

fuzz_bytes() {
    local target each log status=0 seeds
    ulimit -S -d unlimited # the sanitizer's shadow is large
    each=$((seconds / ${#bytes_targets[@]} + 1))
    for target in "${bytes_targets[@]}"; do
        log=$work/$target.log
        mkdir -p "$work/corpus/$target"
        seeds=("$here/bytes/found/$target")
        case $target in
        proof) seeds+=("$root/test/vectors") ;;
        text) seeds+=("$root/test/vectors/export") ;;
        esac
        [ -d "${seeds[0]}" ] || seeds=("${seeds[@]:1}")
        (cd "$root" && "$root/build/fuzz/$target" -max_total_time="$each" -seed="$seed" -max_len=4096 -timeout=60 \
            -artifact_prefix="$root/build/fuzz/$target-" "$work/corpus/$target" "${seeds[@]}") >"$log" 2>&1 || {
            grep -E 'not so:|ERROR:|runtime error:|Test unit written' "$log" >&2 || tail -20 "$log" >&2
            status=1
        }
        printf '%-8s %s, %s edges\n' "$target" "$(sed -n 's/^Done \([0-9]* runs in [0-9]* second(s)\)$/\1/p' "$log")" \
            "$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+')"
    done
    return "$status"
}
