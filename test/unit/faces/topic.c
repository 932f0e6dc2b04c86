/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/topic.h"

#include <stdio.h>

#include "check.h"

static struct topics topics;

static void start(struct topic_wait *waits, size_t n)
{
    topics_init(&topics);
    for (size_t i = 0; i < n; i++) {
        waits[i] = (struct topic_wait){ .topic = NULL };
        list_init(&waits[i].link);
    }
}

/* The places in `waits` of those who are told, as digits in order. */
static const char *told(struct topic_wait *waits)
{
    static char text[32];
    size_t n = 0;
    struct list list;
    list_init(&list);
    topics_take_changed(&topics, &list);
    for (struct list *link; (link = list_take_first(&list));) {
        struct topic_wait *wait = container_of(link, struct topic_wait, link);
        CHECK(!wait->topic);
        text[n++] = (char)('0' + (wait - waits));
    }
    text[n] = '\0';
    return text;
}

TEST(a_key_wakes_its_waiters_and_those_of_its_prefixes)
{
    struct topic_wait waits[6];
    start(waits, 6);
    topic_wait(&topics, &waits[0], TOPIC_KEY, SPAN("a/b"));
    topic_wait(&topics, &waits[1], TOPIC_KEY, SPAN("a/c"));
    topic_wait(&topics, &waits[2], TOPIC_PREFIX, SPAN("a/"));
    topic_wait(&topics, &waits[3], TOPIC_PREFIX, SPAN(""));
    topic_wait(&topics, &waits[4], TOPIC_PREFIX, SPAN("a/b/"));
    topic_wait(&topics, &waits[5], TOPIC_SERVICE, SPAN("a/b"));
    topics_key_changed(&topics, SPAN("a/b"));
    topics_key_changed(&topics, SPAN("a/b")); /* twice in one turn is once */
    CHECK_STR(told(waits), "032");
    CHECK_STR(told(waits), "");
    topics_key_changed(&topics, SPAN("a/b/c"));
    CHECK_STR(told(waits), "4");
    topics_changed(&topics, TOPIC_SERVICE, SPAN("a/b"));
    topic_leave(&topics, &waits[1]);
    topics_key_changed(&topics, SPAN("a/c"));
    CHECK_STR(told(waits), "5");
    CHECK_INT(topics.map.n_nodes, 0);
    CHECK_INT(topics.longest, 0);
    topics_fini(&topics);
}

TEST(who_leaves_is_not_told)
{
    struct topic_wait waits[2];
    start(waits, 2);
    topic_wait(&topics, &waits[0], TOPIC_CATALOG, SPAN_NULL);
    topic_wait(&topics, &waits[1], TOPIC_CATALOG, SPAN_NULL);
    topics_changed(&topics, TOPIC_CATALOG, SPAN_NULL);
    topic_leave(&topics, &waits[0]);
    topic_leave(&topics, &waits[0]);
    CHECK_STR(told(waits), "1");
    topic_wait(&topics, &waits[0], TOPIC_CATALOG, SPAN_NULL);
    topics_changed(&topics, TOPIC_CATALOG, SPAN_NULL);
    topic_leave(&topics, &waits[0]); /* the last: the topic goes, and was noted */
    CHECK_STR(told(waits), "");
    topics_fini(&topics);
}

TEST(many_lengths_of_prefixes)
{
    struct topic_wait waits[9];
    char text[16];
    start(waits, 9);
    for (size_t i = 0; i < 9; i++) {
        int size = snprintf(text, sizeof(text), "%.*s", (int)i, "abcdefgh");
        topic_wait(&topics, &waits[i], TOPIC_PREFIX, (struct span){ text, (size_t)size });
    }
    topics_key_changed(&topics, SPAN("abcdX"));
    CHECK_STR(told(waits), "01234");
    topics_key_changed(&topics, SPAN("abcdefghi"));
    CHECK_STR(told(waits), "5678");
    topics_fini(&topics);
}
