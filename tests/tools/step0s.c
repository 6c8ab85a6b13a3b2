/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of step 0 as anybody can make them who knows a server's public line: a line of hex for each, on standard
 * output. Arguments: the file with that line, a topic, how many. */
#include <stdio.h>
#include <stdlib.h>

#include <smqtt/posix.h>
#include <smqtt/secure.h>
#include <smqtt/system.h>

static smqtt_err step0(struct smqtt_identity *server, const char *topic)
{
    const struct smqtt_sealer_config config = {
        .struct_size = sizeof(config), .rng = smqtt_system_rng(), .server = server};
    const struct smqtt_span where = {(const uint8_t *)topic, strlen(topic)};
    struct smqtt_sealer *sealer = NULL;
    struct smqtt_secure_event ev;
    struct smqtt_now now = smqtt_posix_now();
    smqtt_err err = smqtt_sealer_new(&config, now, &sealer);
    if (err == SMQTT_OK) {
        err = smqtt_sealer_start(sealer, where, where, true, now);
    }
    while (err == SMQTT_OK && smqtt_sealer_next(sealer, &ev)) {
        for (size_t i = 0; ev.type == SMQTT_EV_DETECT && i < ev.bytes.len; i++) {
            (void)printf("%02x%s", ev.bytes.data[i], i + 1 == ev.bytes.len ? "\n" : "");
        }
    }
    smqtt_sealer_free(sealer);
    return err;
}

int main(int argc, char **argv)
{
    static char text[4096];
    struct smqtt_identity *server = NULL;
    FILE *f = argc == 4 ? fopen(argv[1], "rb") : NULL;
    if (f == NULL) {
        (void)fprintf(stderr, "step0s: it wants a server's public line in a file, a topic and a number.\n");
        return 1;
    }
    const struct smqtt_span line = {(const uint8_t *)text, fread(text, 1, sizeof(text), f)};
    (void)fclose(f);
    smqtt_err err = smqtt_identity_read(NULL, line, &server);
    for (long n = strtol(argv[3], NULL, 10); n > 0 && err == SMQTT_OK; n--) {
        err = step0(server, argv[2]);
    }
    smqtt_identity_free(server);
    if (err != SMQTT_OK) {
        (void)fprintf(stderr, "step0s: %s.\n", smqtt_strerror(err));
    }
    return err == SMQTT_OK ? 0 : 1;
}
