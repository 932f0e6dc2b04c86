/* SPDX-License-Identifier: Apache-2.0 */

/* A config file is taken whole or refused with its reason: of which key, or on which line. */

#include "daemon/settings.h"
#include "property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span yaml = copy_of(input_of(data, size));
    struct problem problem = { .line = 0 };
    struct settings *settings = NULL;

    int r = settings_parse(yaml, NULL, &settings, &problem);
    PROPERTY(r == SETTINGS_OK || r == SETTINGS_INVALID);
    if (r == SETTINGS_OK) {
        PROPERTY(settings && settings->data && settings->api_listen);
    } else {
        PROPERTY(!settings && problem.text[0]);
        PROPERTY(problem.path[0] || problem.line > 0);
    }
    settings_free(settings);
    free_copy(yaml);
    return 0;
}
