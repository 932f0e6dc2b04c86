/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/access_redact.h"

#include "check.h"

/* The query as it is shown. */
static const char *shown(const char *names, const char *text)
{
    static char out[1024];
    struct access_redaction redaction;
    access_redaction_init(&redaction, span_of(names));
    struct span query = span_of(text);
    size_t size = 0;
    while (query.size) {
        bool is_secret;
        struct span part = access_redact(&redaction, &query, &is_secret);
        size += (size_t)snprintf(out + size, sizeof(out) - size, "%.*s%s", SPAN_ARG(part),
                                 is_secret ? "***" : "");
    }
    out[size] = '\0';
    access_redaction_fini(&redaction);
    return out;
}

TEST(values_of_secret_names_are_not_shown)
{
    static const struct {
        const char *query, *shown;
    } table[] = {
        { "page=2&sort=name", "page=2&sort=name" },
        { "token=abc", "token=***" },
        { "token=", "token=***" },
        { "token", "token" },
        { "a=1&access_token=abc&b=2", "a=1&access_token=***&b=2" },
        { "id_token=a&refresh-token=b&csrfToken=c",
          "id_token=***&refresh-token=***&csrfToken=***" },
        { "CODE=x&Key=y&API_KEY=z&apiKey=w", "CODE=***&Key=***&API_KEY=***&apiKey=***" },
        { "password=a&passwd=b&pwd=c&user_password=d",
          "password=***&passwd=***&pwd=***&user_password=***" },
        { "secret=a&client_secret=b&signature=c&sig=d&X-Amz-Signature=e",
          "secret=***&client_secret=***&signature=***&sig=***&X-Amz-Signature=***" },
        { "auth=a&authorization=b&session=c&session_id=d&sid=e&PHPSESSID=f",
          "auth=***&authorization=***&session=***&session_id=***&sid=***&PHPSESSID=***" },
        /* a word of the second kind is the whole name or no secret */
        { "zipcode=1&monkey=2&author=3&sigma=4&passage=5",
          "zipcode=1&monkey=2&author=3&sigma=4&passage=5" },
        /* as frameworks nest them */
        { "user[password]=x&user[name]=y", "user[password]=***&user[name]=y" },
        { "auth[code]=x&a[b][key]=y", "auth[code]=***&a[b][key]=***" },
        { "tokens[]=x&token[a]=y", "tokens[]=***&token[a]=***" },
        /* however the name is written */
        { "%74oken=x&acc%65ss_tok%45n=y", "%74oken=***&acc%65ss_tok%45n=***" },
        { "to%20ken=x&+token+=y", "to%20ken=***&+token+=***" },
        { "token%3Dx", "token%3D***" },
        /* a secret may hold anything but "&" */
        { "password=a;b=c?d#e=f%26g&h=i", "password=***&h=i" },
        { "password=a=b==&c=d", "password=***&c=d" },
        /* other separators */
        { "a=1;token=x", "a=1;token=***" },
        { "a=1?token=x&b=2", "a=1?token=***&b=2" },
        /* a URL in a value */
        { "next=https%3A%2F%2Fa.test%2F%3Fa%3D1%26token%3Dx%26b&c=3",
          "next=https%3A%2F%2Fa.test%2F%3Fa%3D1%26token%3D***&c=3" },
        { "next=https://a.test/#access_token=x", "next=https://a.test/#access_token=***" },
        /* broken escapes */
        { "%=1&%t=2&token=%", "%=1&%t=2&token=***" },
        { "a=%zz%&key=%1", "a=%zz%&key=***" },
        { "&&=&=x&", "&&=&=x&" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        CHECK_STR(shown(NULL, table[i].query), table[i].shown);
}

TEST(names_can_be_added)
{
    CHECK_STR(shown("iban, Card-Number", "iban=1&cardnumber=2&card_number=3&card=4"),
              "iban=***&cardnumber=***&card_number=***&card=4");
    CHECK_STR(shown("iban", "token=1&iban=2&iban2=3"), "token=***&iban=***&iban2=3");
    CHECK_STR(shown(" , ,", "a=1&=2"), "a=1&=2");
}

TEST(a_name_too_long_to_know_is_a_secret)
{
    char query[256] = "", want[256];
    memset(query, 'n', 200);
    snprintf(want, sizeof(want), "%s=***", query);
    strcat(query, "=x");
    CHECK_STR(shown(NULL, query), want);
}

/* A pad before the name must not hide it, whatever its size. */
TEST(no_pad_hides_a_name)
{
    for (int n = 0; n < 300; n++) {
        char query[512];
        snprintf(
            query, sizeof(query), "%.*s[password]=hunter2", n,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaa");
        CHECK(!strstr(shown(NULL, query), "hunter2"));
    }
}
