/* SPDX-License-Identifier: Apache-2.0 */
#include "base/defs.h"

struct row {
    const char *name;
    const char *text;
    uint8_t cls;
    uint8_t reason;
};

static const struct row rows[SMQTT_ERR_COUNT] = {
    [SMQTT_OK] = {"OK", "all is well", SMQTT_CLASS_OK, 0x00},
#define ERR(name, cls, reason, text) [SMQTT_E_##name] = {#name, text, SMQTT_CLASS_##cls, reason},
#include <smqtt/error.def>
#undef ERR
};

static const struct row *row_of(smqtt_err err)
{
    return (unsigned)err < SMQTT_ERR_COUNT ? &rows[err] : &rows[SMQTT_E_BUG];
}

const char *smqtt_strerror(smqtt_err err)
{
    return row_of(err)->text;
}

const char *smqtt_err_name(smqtt_err err)
{
    return row_of(err)->name;
}

enum smqtt_err_class smqtt_err_class(smqtt_err err)
{
    return (enum smqtt_err_class)row_of(err)->cls;
}

uint8_t smqtt_err_reason(smqtt_err err)
{
    return row_of(err)->reason;
}
