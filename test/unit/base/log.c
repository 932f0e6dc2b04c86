/* SPDX-License-Identifier: Apache-2.0 */

#include "base/log.h"

#include <fcntl.h>
#include <regex.h>

#include "check.h"

static int saved, reader;

/* From here on standard error is a pipe. */
static void catch (void)
{
    int ends[2];
    CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
    saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
}

static const char *caught(void)
{
    static char text[16384];
    size_t size = 0;
    dup2(saved, STDERR_FILENO);
    close(saved);
    for (ssize_t n; (n = read(reader, text + size, sizeof(text) - 1 - size)) > 0;)
        size += (size_t)n;
    text[size] = 0;
    close(reader);
    return text;
}

static void check_matches(const char *text, const char *pattern)
{
    regex_t regex;
    CHECK_INT(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text, 0, NULL, 0))
        CHECK_STR(text, pattern);
    regfree(&regex);
}

TEST(logfmt)
{
    catch ();
    log_warn("registry", "lease expired", "service", "orders", "why", "a \"b\"\n", "utf8",
             "\xc3\xa9 \xff", "none", NULL);
    check_matches(caught(),
                  "^time=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z level=warn "
                  "room=registry msg=\"lease expired\" service=orders "
                  "why=\"a \\\\\"b\\\\\"\\\\u000a\" utf8=\"\xc3\xa9 \\\\ufffd\" none=\"\"\n$");
}

TEST(json)
{
    log_setup(LOG_LEVEL_INFO, true);
    catch ();
    log_error("store", "bad\x01", "a=b", "c\\d");
    check_matches(caught(),
                  "^\\{\"time\":\"[^\"]*Z\",\"level\":\"error\",\"room\":\"store\","
                  "\"msg\":\"bad\\\\u0001\",\"a=b\":\"c\\\\\\\\d\"\\}\n$");
}

TEST(levels)
{
    catch ();
    log_debug("a", "below the level");
    log_setup(LOG_LEVEL_ERROR, false);
    log_warn("a", "below the level now");
    log_error("a", "shown");
    check_matches(caught(), "^[^\n]*msg=shown\n$");
}

/* Whatever is cut, a line is one line and its quotes and braces are closed. */
TEST(long_values_are_cut)
{
    static char longer[5000];
    for (int is_json = 0; is_json < 2; is_json++) {
        for (int filler = 0; filler < 3; filler++) {
            for (size_t size = 1800; size < 2100; size++) {
                memset(longer, "x\"\n"[filler], size);
                longer[size] = 0;
                log_setup(LOG_LEVEL_INFO, is_json);
                catch ();
                log_info("a", "m", "key", longer, "more", "some more");
                const char *text = caught();
                size_t length = strlen(text);
                CHECK(length <= 2048 && text[length - 1] == '\n');
                check_matches(text, is_json
                                        ? "^\\{(\"[a-z]+\":\"([^\"\\]|\\\\[^\n])*\",?)+\\}\n$"
                                        : "^([a-z]+=(\"([^\"\\]|\\\\[^\n])*\"|[^ \"\n]*) ?)+\n$");
            }
        }
    }
}

TEST(a_full_pipe_drops_and_counts)
{
    catch ();
    CHECK_INT(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
    CHECK(fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096) >= 4096);
    for (int i = 0; i < 200; i++)
        log_info("a", "one of many lines that fill the pipe until it takes no more");
    char text[65536];
    CHECK(read(reader, text, sizeof(text)) > 0);
    log_info("a", "the next");
    check_matches(caught(), "^[^\n]*room=a dropped_before=[1-9][0-9]* msg=\"the next\"\n$");
}
