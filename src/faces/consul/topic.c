/* SPDX-License-Identifier: Apache-2.0 */

#include "faces/consul/topic.h"

#include "base/mem.h"

#define KEY_MAX 1280u

void topics_init(struct topics *topics)
{
    memset(topics, 0, sizeof(*topics));
    map_init(&topics->map);
    list_init(&topics->changed);
}

void topics_fini(struct topics *topics)
{
    map_fini(&topics->map);
}

static struct span key_of(char *memory, enum topic_kind kind, struct span name)
{
    name = span_first(name, KEY_MAX - 1);
    memory[0] = (char)('a' + (char)kind);
    if (name.size)
        memcpy(memory + 1, name.data, name.size);
    return (struct span){ memory, name.size + 1 };
}

static struct topic *find(const struct topics *topics, enum topic_kind kind, struct span name)
{
    char memory[KEY_MAX];
    return map_find_as(&topics->map, key_of(memory, kind, name), struct topic, node);
}

static struct topic *topic_new(struct topics *topics, enum topic_kind kind, struct span name)
{
    char memory[KEY_MAX];
    struct span key = key_of(memory, kind, name);
    struct topic *topic = mem_new(struct topic);
    list_init(&topic->waits);
    list_init(&topic->changed_link);
    topic->key = mem_span_dup(key);
    map_add(&topics->map, &topic->node, (struct span){ topic->key, key.size });
    topic->is_prefix = kind == TOPIC_PREFIX && name.size <= TOPIC_PREFIX_MAX;
    if (topic->is_prefix) {
        topic->prefix_size = name.size;
        topics->n_prefixes[name.size]++;
        if (name.size > topics->longest)
            topics->longest = name.size;
    }
    return topic;
}

static void topic_free(struct topics *topics, struct topic *topic)
{
    if (topic->is_prefix)
        topics->n_prefixes[topic->prefix_size]--;
    while (topics->longest > 0 && topics->n_prefixes[topics->longest] == 0)
        topics->longest--;
    list_remove(&topic->changed_link);
    map_remove(&topics->map, &topic->node);
    free(topic->key);
    free(topic);
}

void topic_wait(struct topics *topics, struct topic_wait *wait, enum topic_kind kind,
                struct span name)
{
    struct topic *topic = find(topics, kind, name);
    if (!topic)
        topic = topic_new(topics, kind, name);
    wait->topic = topic;
    list_add_last(&topic->waits, &wait->link);
}

void topic_leave(struct topics *topics, struct topic_wait *wait)
{
    struct topic *topic = wait->topic;
    list_remove(&wait->link);
    wait->topic = NULL;
    if (topic && list_is_empty(&topic->waits))
        topic_free(topics, topic);
}

static void note(struct topics *topics, struct topic *topic)
{
    if (topic && list_is_empty(&topic->changed_link))
        list_add_last(&topics->changed, &topic->changed_link);
}

void topics_changed(struct topics *topics, enum topic_kind kind, struct span name)
{
    note(topics, find(topics, kind, name));
}

void topics_key_changed(struct topics *topics, struct span key)
{
    topics_changed(topics, TOPIC_KEY, key);
    for (size_t size = 0; size <= topics->longest && size <= key.size; size++) {
        if (topics->n_prefixes[size])
            topics_changed(topics, TOPIC_PREFIX, span_first(key, size));
    }
}

void topics_take_changed(struct topics *topics, struct list *ret_waits)
{
    for (struct list *link; (link = list_take_first(&topics->changed));) {
        struct topic *topic = container_of(link, struct topic, changed_link);
        list_each (at, &topic->waits)
            container_of(at, struct topic_wait, link)->topic = NULL;
        list_move_all(ret_waits, &topic->waits);
        topic_free(topics, topic);
    }
}
