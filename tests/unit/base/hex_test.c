/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/hex.h"

struct codec {
    const char *name;
    void (*encode)(char *out, smq_span in);
    smqtt_err (*decode)(uint8_t *out, size_t cap, smq_span text, size_t *len);
    size_t (*len)(size_t n);
    const char *alphabet;
};

static void base32_lower(char *out, smq_span in)
{
    smq_base32_encode(out, in, true);
}

static void base32_upper(char *out, smq_span in)
{
    smq_base32_encode(out, in, false);
}

static size_t hex_len(size_t n)
{
    return SMQ_HEX_LEN(n);
}

static size_t base64url_len(size_t n)
{
    return SMQ_BASE64URL_LEN(n);
}

static size_t base32_len(size_t n)
{
    return SMQ_BASE32_LEN(n);
}

static const struct codec codecs[] = {
    {"hex", smq_hex_encode, smq_hex_decode, hex_len, "0123456789abcdef"},
    {"base64url", smq_base64url_encode, smq_base64url_decode, base64url_len,
     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"},
    {"base32", base32_upper, smq_base32_decode, base32_len, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"},
    {"base32 lower", base32_lower, smq_base32_decode, base32_len, "abcdefghijklmnopqrstuvwxyz234567"},
};

/* RFC 4648 section 10, without the padding. */
static void rfc_vectors(void **state)
{
    (void)state;
    static const char *const rows[][4] = {
        {"", "", "", ""},
        {"f", "66", "Zg", "MY"},
        {"fo", "666f", "Zm8", "MZXQ"},
        {"foo", "666f6f", "Zm9v", "MZXW6"},
        {"foob", "666f6f62", "Zm9vYg", "MZXW6YQ"},
        {"fooba", "666f6f6261", "Zm9vYmE", "MZXW6YTB"},
        {"foobar", "666f6f626172", "Zm9vYmFy", "MZXW6YTBOI"},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        for (size_t c = 0; c < 3; c++) {
            char text[32];
            uint8_t back[16];
            size_t len = 99;
            codecs[c].encode(text, smq_span_str(rows[i][0]));
            assert_string_equal(text, rows[i][c + 1]);
            assert_int_equal(codecs[c].len(i), strlen(text));
            assert_int_equal(codecs[c].decode(back, i, smq_span_str(text), &len), SMQTT_OK);
            assert_true(smq_span_equal(smq_span_of(back, len), smq_span_str(rows[i][0])));
        }
    }
    char lower[32];
    smq_base32_encode(lower, smq_span_str("foobar"), true);
    assert_string_equal(lower, "mzxw6ytboi");
}

/* Every character of every alphabet at its value. */
static void whole_alphabets(void **state)
{
    (void)state;
    for (size_t c = 0; c < SMQ_ARRAY_LEN(codecs); c++) {
        const char *alphabet = codecs[c].alphabet;
        uint8_t bytes[64];
        char text[65];
        size_t len = 0;
        assert_int_equal(codecs[c].decode(bytes, sizeof bytes, smq_span_str(alphabet), &len), SMQTT_OK);
        size_t bits = strlen(alphabet) == 16 ? 4 : strlen(alphabet) == 32 ? 5 : 6;
        assert_int_equal(len, strlen(alphabet) * bits / 8);
        for (size_t i = 0; i < strlen(alphabet); i++) {
            size_t value = 0;
            for (size_t b = i * bits; b < i * bits + bits; b++) {
                value = value * 2 + (bytes[b / 8] >> (7 - b % 8) & 1);
            }
            assert_int_equal(value, i);
        }
        codecs[c].encode(text, smq_span_of(bytes, len));
        assert_string_equal(text, alphabet);
    }
}

/* All other characters are refused, wherever they stand. */
static void foreign_characters(void **state)
{
    (void)state;
    for (size_t c = 0; c < SMQ_ARRAY_LEN(codecs); c++) {
        for (int ch = 0; ch < 256; ch++) {
            char either = (char)ch;
            bool other_case = c != 1 && ((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z'));
            either = other_case ? (char)(ch ^ 0x20) : either;
            bool known =
                ch != 0 && (strchr(codecs[c].alphabet, ch) != NULL || strchr(codecs[c].alphabet, either) != NULL);
            for (size_t at = 0; at < 8; at++) {
                char text[] = "22222222";
                text[at] = (char)ch;
                uint8_t out[8];
                size_t len = 0;
                smqtt_err err = codecs[c].decode(out, sizeof out, smq_span_of(text, 8), &len);
                assert_int_equal(err, known ? SMQTT_OK : SMQTT_E_MALFORMED);
            }
        }
    }
}

/* Trailing bits, impossible lengths, padding, white space, the other base64 alphabet; nothing is written then. */
static void only_one_text_for_bytes(void **state)
{
    (void)state;
    static const char *const bad[][12] = {
        {"0", "000", "0g", " 00", "00 ", "0x00", NULL},
        {"Z", "Zh", "Z-", "Zm9", "Zm9vY", "Zg==", "Zm8=", "Zm+v", "Zm/v", "Zm9v\n", NULL},
        {"M", "MZ", "MZX", "MZXR", "MZXW6Y", "MZXW6YX", "MZXW7", "MY======", "M1", "M8", "MZXW6YTBO", NULL},
    };
    for (size_t c = 0; c < 3; c++) {
        for (size_t i = 0; bad[c][i] != NULL; i++) {
            uint8_t out[16];
            memset(out, 0xAA, sizeof out);
            size_t len = 77;
            assert_int_equal(codecs[c].decode(out, sizeof out, smq_span_str(bad[c][i]), &len), SMQTT_E_MALFORMED);
            assert_int_equal(len, 77);
            for (size_t k = 0; k < sizeof out; k++) {
                assert_int_equal(out[k], 0xAA);
            }
        }
    }
}

static void letters_of_either_case(void **state)
{
    (void)state;
    uint8_t out[8];
    size_t len = 0;
    assert_int_equal(smq_hex_decode(out, 2, smq_span_str("aBCd"), &len), SMQTT_OK);
    assert_true(smq_span_equal(smq_span_of(out, len), smq_span_of("\xAB\xCD", 2)));
    assert_int_equal(smq_base32_decode(out, 3, smq_span_str("mZxW6"), &len), SMQTT_OK);
    assert_true(smq_span_equal(smq_span_of(out, len), smq_span_str("foo")));
}

static void small_buffers(void **state)
{
    (void)state;
    uint8_t out[1] = {0x55};
    size_t len = 7;
    for (size_t c = 0; c < 3; c++) {
        char text[16];
        codecs[c].encode(text, smq_span_str("ab"));
        assert_int_equal(codecs[c].decode(out, 1, smq_span_str(text), &len), SMQTT_E_FULL);
        assert_int_equal(out[0], 0x55);
        assert_int_equal(len, 7);
        assert_int_equal(codecs[c].decode(NULL, 0, smq_span_of(NULL, 0), &len), SMQTT_OK);
        assert_int_equal(len, 0);
        len = 7;
    }
}

static void random_round_trips(void **state)
{
    (void)state;
    uint64_t seed = 21;
    for (size_t round = 0; round < 4000; round++) {
        const struct codec *c = &codecs[round % SMQ_ARRAY_LEN(codecs)];
        uint8_t in[70];
        uint8_t out[70];
        char text[150];
        size_t n = test_random_below(&seed, sizeof in);
        for (size_t i = 0; i < n; i++) {
            in[i] = (uint8_t)test_random(&seed);
        }
        memset(text, '#', sizeof text);
        c->encode(text, smq_span_of(in, n));
        assert_int_equal(strlen(text), c->len(n));
        assert_int_equal(text[c->len(n) + 1], '#');
        size_t len = 0;
        assert_int_equal(c->decode(out, n, smq_span_str(text), &len), SMQTT_OK);
        assert_true(smq_span_equal(smq_span_of(out, len), smq_span_of(in, n)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_vectors),
        cmocka_unit_test(whole_alphabets),
        cmocka_unit_test(foreign_characters),
        cmocka_unit_test(only_one_text_for_bytes),
        cmocka_unit_test(letters_of_either_case),
        cmocka_unit_test(small_buffers),
        cmocka_unit_test(random_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
