#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves the contracts of the decoders (the comments that begin with @ in their sources) with Frama-C/WP and CVC4, in
# two to four minutes. What is not proved must stand in formal/unproved.txt, and the other way round.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

for tool in frama-c why3 cvc4; do
    if ! command -v $tool >/dev/null; then
        echo "prove: $tool is missing; tools/setup.sh prove installs it" >&2
        exit 1
    fi
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# Frama-C asks Why3, which asks its own list of provers; that of the user stays as it is.
export WHY3CONFIG=$dir/why3.conf
why3 config detect >/dev/null 2>&1
proved=0
total=0

# prove FILE FUNCTIONS
prove() {
    local of n
    frama-c -c11 -machdep gcc_x86_64 -cpp-extra-args="-Isrc -Iinclude" -wp -wp-rte -wp-model typed+cast \
        -wp-prover cvc4 -wp-timeout "${T:-10}" -wp-par 1 -wp-fct "$2" "$1" >"$dir/log" 2>&1
    read -r n of < <(sed -n 's/^\[wp\] Proved goals: *\([0-9]*\) *\/ *\([0-9]*\).*/\1 \2/p' "$dir/log")
    if [ -z "${of:-}" ]; then
        cat "$dir/log" >&2
        exit 1
    fi
    printf '%-22s %4d of %4d goals\n' "$1" "$n" "$of"
    proved=$((proved + n))
    total=$((total + of))
    # One line of the log for each goal that a prover gave up.
    sed -n 's/^\[wp\].* Goal typed_cast_\([^ ]*\).*\(Timeout\|Unknown\|Failed\|Stepout\).*/\1/p' "$dir/log" \
        >>"$dir/open"
}

touch "$dir/open"
prove src/base/rd.h smq_rd_of,smq_rd_left,smq_rd_ok,smq_rd_done,smq_rd_fail,smq_rd_bytes,smq_rd_rest,smq_rd_uint,\
smq_rd_u8,smq_rd_u16,smq_rd_u32,smq_rd_u64,smq_rd_blob16,smq_rd_blob8
prove src/codec/varint.h smq_varint_read
prove src/codec/row.h smq_packet_row,smq_codec_dialect,smq_codec_max_detect,smq_codec_max_packet,smq_frame_check_header
prove src/codec/frame.c check_order,check_length,smq_frame_read
prove src/detect/tlv.h smq_tlv_list,smq_tlv_next,smq_tlv_unknown,smq_tlv_done,smq_tlv_skip
prove src/detect/record.c seq_len,smq_record_read,tlv_read,smq_sealed_read
echo "$proved of $total goals proved; the others:"
sort -u "$dir/open" | tee "$dir/sorted"
grep -v '^#' formal/unproved.txt | sort -u | diff - "$dir/sorted" >"$dir/diff" || {
    echo "prove: this differs from formal/unproved.txt:" >&2
    cat "$dir/diff" >&2
    exit 1
}
