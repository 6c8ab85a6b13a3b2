/* SPDX-License-Identifier: Apache-2.0 */
/* Runs tests/vectors/codec/ *.txt. A line: name, version, role, hex, "=>", and the dump of the packet or the name of
 * the error. version  3.1, 3.1.1 or 5 role     client, server or any: whose packets they are; ":first" = nothing came
 * before; ":standard" = that text policy hex      bytes; "xx*n" repeats one byte n times A packet that reads has to
 * write to a form that reads the same. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "codec/packet.h"

enum { LINE = 4096, BYTES = 1 << 17 };

static bool has(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

static uint8_t *parse_hex(const char *hex, size_t *len)
{
    uint8_t *out = malloc(BYTES);
    assert_non_null(out);
    *len = 0;
    while (*hex != '\0') {
        char two[3] = {hex[0], hex[1], '\0'}, *end;
        unsigned long byte = strtoul(two, &end, 16), times = 1;
        assert_true(*end == '\0' && end == two + 2);
        hex += 2;
        if (*hex == '*') {
            times = strtoul(hex + 1, &end, 10);
            hex = *end == ',' ? end + 1 : end;
        }
        assert_true(BYTES - *len >= times);
        memset(out + *len, (int)byte, times);
        *len += times;
    }
    uint8_t *exact = realloc(out, *len != 0 ? *len : 1);
    assert_non_null(exact);
    return exact;
}

static smqtt_err read_all(const struct smq_codec *codec, smq_span in, bool first, struct smq_packet *pkt)
{
    struct smq_frame frame;
    size_t need;
    smqtt_err err = smq_frame_read(codec, in, first, &frame, &need);
    if (err != SMQTT_OK) {
        return err;
    }
    assert_int_equal(frame.size, in.len);
    return smq_packet_read(codec, &frame, pkt);
}

static void write_and_compare(const struct smq_codec *codec, const struct smq_packet *pkt, const char *dump)
{
    static uint8_t buf[BYTES];
    char again[LINE];
    struct smq_packet back;
    struct smq_wr wr = smq_wr_of(buf, sizeof buf);
    assert_int_equal(smq_packet_write(codec, pkt, &wr), SMQTT_OK);
    assert_int_equal(read_all(codec, smq_wr_span(&wr), pkt->type == SMQ_CONNECT, &back), SMQTT_OK);
    (void)smq_packet_dump(&back, again, sizeof again);
    assert_string_equal(again, dump);
}

static bool run_line(const char *file, const char *line)
{
    char name[64], version[8], role[32], hex[LINE], got[LINE];
    int at = 0;
    assert_int_equal(sscanf(line, "%63s %7s %31s %4095s => %n", name, version, role, hex, &at), 4);
    const char *want = line + at;
    struct smq_codec codec = {
        .version = strcmp(version, "5") == 0       ? SMQTT_V5
                   : strcmp(version, "3.1.1") == 0 ? SMQTT_V311
                                                   : SMQTT_V31,
        .from = has(role, "client")   ? SMQ_FROM_CLIENT
                : has(role, "server") ? SMQ_FROM_SERVER
                                      : SMQ_FROM_ANY,
        .text = has(role, ":standard") ? SMQ_TEXT_STANDARD : SMQ_TEXT_STRICT,
    };
    size_t len;
    uint8_t *bytes = parse_hex(hex, &len);
    struct smq_packet pkt;
    smqtt_err err = read_all(&codec, smq_span_of(bytes, len), has(role, ":first"), &pkt);
    if (err == SMQTT_OK) {
        (void)smq_packet_dump(&pkt, got, sizeof got);
    } else {
        (void)snprintf(got, sizeof got, "%s", smqtt_err_name(err));
    }
    bool same = strcmp(got, want) == 0;
    if (!same) {
        print_error("%s: %s\n  want %s\n  got  %s\n", file, name, want, got);
    } else if (err == SMQTT_OK) {
        write_and_compare(&codec, &pkt, got);
    }
    free(bytes);
    return same;
}

static void run_file(const char *file, size_t *lines, size_t *wrong)
{
    char path[512], line[LINE];
    (void)snprintf(path, sizeof path, "%s/codec/%s", SMQ_TEST_DATA, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#' && line[0] != '\0') {
            ++*lines;
            *wrong += run_line(file, line) ? 0 : 1;
        }
    }
    (void)fclose(f);
}

static void all_vectors(void **state)
{
    (void)state;
    size_t lines = 0, wrong = 0;
    DIR *dir = opendir(SMQ_TEST_DATA "/codec");
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (has(e->d_name, ".txt")) {
            run_file(e->d_name, &lines, &wrong);
        }
    }
    (void)closedir(dir);
    assert_true(lines >= 120);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
