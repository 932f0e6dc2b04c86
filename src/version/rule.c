/* SPDX-License-Identifier: Apache-2.0 */

#include "version/rule.h"

#include <stdio.h>

#include "base/hash.h"

#define SUBJECT_MAX 512u

uint32_t rule_bucket(struct span salt, struct span subject)
{
    /* Neither a salt nor an id is ever near this long; cutting keeps the answer a pure function. */
    char text[2 * SUBJECT_MAX + 1];
    salt = span_first(salt, SUBJECT_MAX);
    subject = span_first(subject, SUBJECT_MAX);
    if (salt.size)
        memcpy(text, salt.data, salt.size);
    text[salt.size] = 0x1f;
    if (subject.size)
        memcpy(text + salt.size + 1, subject.data, subject.size);
    return (uint32_t)(hash_xxh3((struct span){ text, salt.size + 1 + subject.size }) % PCT_ALL);
}

bool rule_share_has(struct span salt, uint32_t pct_milli, struct span subject)
{
    if (pct_milli >= PCT_ALL)
        return true;
    return pct_milli > 0 && subject.size > 0 && rule_bucket(salt, subject) < pct_milli;
}

bool rule_includes(const struct version_rule *rule, struct span subject)
{
    return rule_share_has(span_of(rule->salt), rule->pct_milli, subject);
}

void pct_format(uint32_t pct_milli, char ret_text[PCT_TEXT_MAX])
{
    unsigned fraction = pct_milli % 1000, n_digits = 3;
    while (n_digits > 1 && fraction % 10 == 0) {
        fraction /= 10;
        n_digits--;
    }
    if (fraction) {
        snprintf(ret_text, PCT_TEXT_MAX, "%u.%0*u %%", pct_milli / 1000, (int)n_digits, fraction);
    } else {
        snprintf(ret_text, PCT_TEXT_MAX, "%u %%", pct_milli / 1000);
    }
}
