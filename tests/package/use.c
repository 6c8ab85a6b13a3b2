/* SPDX-License-Identifier: Apache-2.0 */
/* The least program of somebody else: what is installed must suffice to build and to run it. */
#include <smqtt/smqtt.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("libsmqtt %s: %s\n", smqtt_version_text(), smqtt_strerror(SMQTT_OK));
    return strcmp(smqtt_version_text(), SMQTT_VERSION) == 0 ? 0 : 1;
}
