/* SPDX-License-Identifier: Apache-2.0 */
/* refused.txt: descriptors, bodies, records, notices and registrations that must be refused, with the reason. Each is
 * made from a good one by one change; the good one is accepted, the changed one refused, before it is written. */
#include "gen_smqtt.h"

#include <stdlib.h>

#include "base/hex.h"
#include "detect/channel.h"
#include "detect/tlv.h"

enum { BYTES_MAX = 1024 };

enum kind {
    KIND_DESCRIPTOR,
    KIND_BODY0,
    KIND_RETRY,
    KIND_RECORD,
    KIND_NOTICE,
    KIND_REGISTRATION,
    KIND_RECEIPTS,
    KIND_REVOCATION
};

static const char *const KINDS[] = {"descriptor", "body0",        "retry",    "record",
                                    "notice",     "registration", "receipts", "revocation"};

static struct smqtt_identity *server;

static void must_be(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "gen_smqtt_vectors: refused: %s\n", what);
        exit(1);
    }
}

static bool accepts_body0(smq_span b)
{
    uint8_t packet[BYTES_MAX + 1] = {SMQ_HDR_STEP0};
    struct smq_step0 step;
    memcpy(packet + 1, b.data, b.len);
    return smq_step0_read(smq_span_of(packet, b.len + 1), &step) == SMQTT_OK && step.suite != NULL;
}

static bool accepts_descriptor(smq_span b)
{
    struct smqtt_identity *id = NULL;
    bool ok = smqtt_identity_read_descriptor(NULL, b, &id) == SMQTT_OK;
    smqtt_identity_free(ok ? id : NULL);
    return ok;
}

static bool accepts_registration(smq_span b)
{
    uint8_t challenge[SMQ_CHALLENGE_LEN];
    return smq_register_challenge_read(b, server->skid, challenge) == SMQTT_OK;
}

static bool accepts(enum kind kind, smq_span b)
{
    struct smq_retry retry;
    struct smq_record record;
    smqtt_ms ts = 0;
    switch (kind) {
    case KIND_DESCRIPTOR:
        return accepts_descriptor(b);
    case KIND_BODY0:
        return accepts_body0(b);
    case KIND_RETRY:
        return smq_retry_read(b, &retry) == SMQTT_OK;
    case KIND_RECORD:
        return smq_record_read(b, &record) == SMQTT_OK;
    case KIND_NOTICE:
        return b.len > 6 && smq_notice_read(server, b.data + 2, b, &ts) == SMQTT_OK;
    case KIND_REGISTRATION:
        return accepts_registration(b);
    case KIND_RECEIPTS:
        return smq_receipts_ok(b);
    case KIND_REVOCATION:
        return smqtt_revocation_check(b, server, NULL, NULL) == SMQTT_OK;
    }
    return true;
}

/** A change: bytes `at` are replaced (or `len` is cut down to). */
struct change {
    const char *name;
    const char *reason;
    size_t at;
    const char *with; /* hexadecimal; NULL: none */
    int longer;       /* bytes added at the end or, negative, taken away */
};

static void write_changed(FILE *f, enum kind kind, smq_span good, const struct change *changes, size_t n)
{
    uint8_t bytes[BYTES_MAX];
    char hex[SMQ_HEX_LEN(BYTES_MAX) + 1];
    must_be(accepts(kind, good), KINDS[kind]);
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes, good.data, good.len);
        if (changes[i].with != NULL) {
            must_be(smq_hex_decode(bytes + changes[i].at, 64, smq_span_str(changes[i].with), &len) == SMQTT_OK, "hex");
        }
        smq_span changed = smq_span_of(bytes, (size_t)((long)good.len + changes[i].longer));
        must_be(!accepts(kind, changed), changes[i].name);
        smq_hex_encode(hex, changed);
        fprintf(f, "# %s\n%s_%s = %s\n", changes[i].reason, KINDS[kind], changes[i].name, hex);
    }
}

static void descriptors(FILE *f)
{
    static const struct change list[] = {{"form", "unknown form", 0, "02", 0},
                                         {"suite", "no such suite", 1, "7f", 0},
                                         {"flags", "a reserved flag", 2, "02", 0},
                                         {"reserved", "a reserved byte", 3, "01", 0},
                                         {"version", "the signature does not cover another version", 4, "00000008", 0},
                                         {"name_empty", "an empty name", 24, "00", 0},
                                         {"name_utf8", "a name that is not UTF-8", 25, "ff", 0},
                                         {"key", "another KEM key", 31, "01", 0},
                                         {"longer", "a byte behind the end", 0, NULL, 1},
                                         {"shorter", "a byte is missing", 0, NULL, -1}};
    write_changed(f, KIND_DESCRIPTOR, smq_span_of(server->descriptor, server->len), list, SMQ_ARRAY_LEN(list));
}

/** A core that the keys of `id` have signed, whatever stands in it, and that is refused. */
static void write_signed(FILE *f, const char *name, const char *reason, const struct smqtt_identity *id, smq_span core)
{
    uint8_t bytes[BYTES_MAX];
    uint8_t did[SMQ_HASH_LEN];
    char hex[SMQ_HEX_LEN(BYTES_MAX) + 1];
    const smq_span content = smq_span_of(did, sizeof(did));
    memcpy(bytes, core.data, core.len);
    must_be(smq_schedule_hash(&core, 1, did) == SMQTT_OK, "hash");
    must_be(smq_schedule_sign(id->suite, id->sk_sig, id->pk_sig, SMQ_SIGN_DESCRIPTOR, &content, 1, bytes + core.len) ==
                SMQTT_OK,
            "signature");
    const smq_span whole = smq_span_of(bytes, core.len + SMQ_SIG_LEN);
    must_be(!accepts_descriptor(whole), name);
    smq_hex_encode(hex, whole);
    fprintf(f, "# %s\ndescriptor_predecessor_%s = %s\n", reason, name, hex);
}

static bool counted(void *ctx, uint8_t *out, size_t len)
{
    memset(out, ++*(uint8_t *)ctx, len);
    return true;
}

static void predecessors(FILE *f)
{
    uint8_t count = 0x30;
    const struct smqtt_rng rng = {counted, &count};
    struct smqtt_identity *next = NULL;
    uint8_t core[BYTES_MAX];
    must_be(smqtt_identity_succeed(NULL, &rng, server, NULL, 9, 0, 0, &next) == SMQTT_OK, "successor");
    size_t len = next->core_len;
    uint8_t *list = core + (next->predecessor - next->descriptor) - SMQ_TLV_HEAD - 2;
    memcpy(core, next->descriptor, len);
    memset(list + 5 + SMQTT_SKID_LEN, 0, 8);
    write_signed(f, "until", "a grace time without end", next, smq_span_of(core, len));
    memcpy(core, next->descriptor, len);
    memcpy(list + 5, next->skid, SMQTT_SKID_LEN);
    write_signed(f, "itself", "it names itself as its predecessor", next, smq_span_of(core, len));
    memcpy(core, next->descriptor, len);
    list[1]--;
    list[4]--;
    write_signed(f, "short", "79 bytes", next, smq_span_of(core, len - 1));
    list[1] += 2;
    list[4] += 2;
    core[len] = 0;
    write_signed(f, "long", "81 bytes", next, smq_span_of(core, len + 1));
    memcpy(core, next->descriptor, len);
    list[1] = 2 * (SMQ_TLV_HEAD + SMQ_PREDECESSOR_LEN);
    memcpy(core + len, list + 2, SMQ_TLV_HEAD + SMQ_PREDECESSOR_LEN);
    write_signed(f, "twice", "two of them", next, smq_span_of(core, len + SMQ_TLV_HEAD + SMQ_PREDECESSOR_LEN));
    smqtt_identity_free(next);
}

static void revocations(FILE *f)
{
    static const struct change list[] = {{"mark", "not a revocation", 0, "4e", 0},
                                         {"suite", "another suite", 1, "02", 0},
                                         {"reason", "signed for another reason", 2, "02", 0},
                                         {"reserved", "a reserved byte", 3, "01", 0},
                                         {"at", "signed for another time", 4, "09", 0},
                                         {"skid", "of other keys", 12, "00", 0},
                                         {"signature", "another signature", 20, "00", 0},
                                         {"longer", "a byte behind the end", 0, NULL, 1},
                                         {"shorter", "a byte is missing", 0, NULL, -1}};
    char text[SMQTT_REVOCATION_TEXT_MAX];
    uint8_t bytes[SMQTT_REVOCATION_LEN];
    size_t len = 0;
    must_be(smqtt_identity_revoke(server, SMQTT_REVOKED_STOLEN, 77, text) == SMQTT_OK &&
                smq_base64url_decode(bytes, sizeof(bytes), smq_span_str(strchr(text, ' ') + 1), &len) == SMQTT_OK,
            "revocation");
    write_changed(f, KIND_REVOCATION, smq_span_of(bytes, len), list, SMQ_ARRAY_LEN(list));
}

static void bodies(FILE *f)
{
    static const uint8_t cid[SMQ_CID_LEN] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t sk_e1[SMQ_SK_LEN] = {9}, sk_x[SMQ_SK_LEN] = {10};
    static const struct change list[] = {{"version", "another version", 0, "d2", 0},
                                         {"paper", "the paper's own scheme", 0, "d0", 0},
                                         {"suite", "no such suite", 1, "03", 0},
                                         {"no_ack", "hflags bit 2 is always 1", 2, "18", 0},
                                         {"reserved_flag", "a reserved bit of hflags", 2, "3c", 0},
                                         {"psk", "a pre-shared key without its id", 2, "1e", 0},
                                         {"reserved", "a reserved byte", 3, "01", 0},
                                         {"cookie_long", "a cookie of more than 32 bytes", 28, "00240100210000", 0},
                                         {"tlv_twice", "a TLV twice", 28, "002603000003000000000000000000", 0},
                                         {"tlv_critical", "an unknown TLV of 0x80 or more", 30, "80", 0},
                                         {"tlv_cut", "a TLV longer than its list", 31, "0100", 0},
                                         {"list_cut", "a TLV list longer than the body", 28, "ffff", 0}};
    const struct smq_step0_plan plan = {.server = server,
                                        .text = true,
                                        .client_id = smq_span_str("c"),
                                        .topic = smq_span_str("t"),
                                        .m = smq_span_str("m"),
                                        .padding = 35,
                                        .ts1 = 1,
                                        .cid = cid,
                                        .sk_e1 = sk_e1,
                                        .sk_x = sk_x};
    uint8_t packet[SMQ_PACKET_MAX];
    size_t len = 0;
    struct smq_hs hs;
    must_be(smq_step0_write(&plan, packet, &len, &hs) == SMQTT_OK, "step 0");
    write_changed(f, KIND_BODY0, smq_span_of(packet + 1, len - 1), list, SMQ_ARRAY_LEN(list));
}

static void retries(FILE *f)
{
    static const struct change list[] = {{"version", "another version", 0, "d0", 0},
                                         {"cookie_long", "a cookie of more than 32 bytes", 19, "21", 29},
                                         {"longer", "a byte behind the end", 0, NULL, 1},
                                         {"shorter", "a byte is missing", 0, NULL, -1}};
    const struct smq_retry retry = {
        .suite_id = 1, .cid = {1}, .code = SMQTT_STATUS_COOKIE, .ts2 = 2, .cookie = smq_span_str("abcd"), .suites = 3};
    uint8_t body[SMQ_RETRY_MAX];
    write_changed(f, KIND_RETRY, smq_span_of(body, smq_retry_write(&retry, body)), list, SMQ_ARRAY_LEN(list));
}

static void records(FILE *f)
{
    static const uint8_t good[24] = {0x81, 1, 2, 3, 4, 0x01, 0x00};
    static const struct change list[] = {{"plain", "not the form of a record", 0, "41", 0},
                                         {"form", "not the form of a record", 0, "c1", 0},
                                         {"group", "a group's record", 0, "a1", 0},
                                         {"reserved", "a reserved bit", 0, "89", 0},
                                         {"seq_long", "the number is not in its shortest form", 5, "00", 0},
                                         {"seq_zero_long", "zero in two bytes", 5, "0000", 0},
                                         {"short", "no room for content and tag", 0, NULL, -1}};
    write_changed(f, KIND_RECORD, smq_span_of(good, sizeof(good)), list, SMQ_ARRAY_LEN(list));
}

static void notices(FILE *f)
{
    static const uint8_t kid[SMQ_KID_LEN] = {1, 2, 3, 4}, nonce[SMQ_NOTICE_NONCE_LEN] = {5};
    static const struct change list[] = {
        {"version", "another version", 0, "d0", 0},     {"mark", "not a notice", 1, "4f", 0},
        {"kid", "signed for another kid", 2, "09", 0},  {"nonce", "signed with another nonce", 6, "09", 0},
        {"ts", "signed for another time", 22, "09", 0}, {"longer", "a byte behind the end", 0, NULL, 1},
        {"shorter", "a byte is missing", 0, NULL, -1}};
    uint8_t notice[SMQ_NOTICE_LEN];
    must_be(smq_notice_write(server, kid, nonce, 77, notice) == SMQTT_OK, "notice");
    write_changed(f, KIND_NOTICE, smq_span_of(notice, sizeof(notice)), list, SMQ_ARRAY_LEN(list));
}

static void registrations(FILE *f)
{
    static const uint8_t challenge[SMQ_CHALLENGE_LEN] = {3};
    static const struct change list[] = {{"version", "another version", 0, "d0", 0},
                                         {"kind", "an unknown kind", 1, "05", 0},
                                         {"longer", "a byte behind the end", 0, NULL, 1},
                                         {"shorter", "a byte is missing", 0, NULL, -1}};
    uint8_t payload[SMQ_REGISTER_MAX];
    size_t len = smq_register_challenge_write(server->skid, challenge, payload);
    write_changed(f, KIND_REGISTRATION, smq_span_of(payload, len), list, SMQ_ARRAY_LEN(list));
}

static void receipts(FILE *f)
{
    static const uint8_t good[SMQ_RECEIPT_LEN] = {1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1};
    static const struct change list[] = {{"none", "no entry", 0, NULL, -SMQ_RECEIPT_LEN},
                                         {"cut", "an entry cut short", 0, NULL, -1},
                                         {"many", "more than 64 entries", 0, NULL, 64 * SMQ_RECEIPT_LEN}};
    write_changed(f, KIND_RECEIPTS, smq_span_of(good, sizeof(good)), list, SMQ_ARRAY_LEN(list));
}

void gen_refused_write(FILE *f)
{
    static const uint8_t sk_kem[SMQ_SK_LEN] = {0x10}, sk_sig[SMQ_SK_LEN] = {0x20};
    const struct smq_identity_plan plan = {smq_suite_by_id(1), "server", 0, 7, 0, 0, sk_kem, sk_sig};
    char hex[SMQ_HEX_LEN(BYTES_MAX) + 1];
    must_be(smq_identity_make(NULL, &plan, &server) == SMQTT_OK, "identity");
    fputs("# SPDX-License-Identifier: Apache-2.0\n"
          "# What every implementation refuses. Each line is: kind_what = value in hexadecimal, under its reason.\n"
          "# Kinds: descriptor, body0 (a body of step 0, suite 0x01), retry (a body), record, notice (of the server\n"
          "# whose descriptor stands first), registration, receipts (the payload of such a record), revocation (of\n"
          "# that server). Descriptors with a predecessor are signed well.\n"
          "# Written by tests/vectors/gen_smqtt_refused.c.\n",
          f);
    smq_hex_encode(hex, smq_span_of(server->descriptor, server->len));
    fprintf(f, "server_descriptor = %s\n", hex);
    descriptors(f);
    bodies(f);
    retries(f);
    records(f);
    notices(f);
    registrations(f);
    receipts(f);
    predecessors(f);
    revocations(f);
    smqtt_identity_free(server);
}
