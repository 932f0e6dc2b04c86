/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_yaml.h"

#include "daemon/settings.h"

struct span yaml_text(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE)
        return SPAN_NULL;
    return (struct span){ (const char *)node->data.scalar.value, node->data.scalar.length };
}

bool yaml_has_nul(const yaml_node_t *node)
{
    struct span text = yaml_text(node);
    return span_find(text, '\0') < text.size;
}

size_t yaml_line(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

struct span yaml_found(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_MAPPING_NODE: return SPAN("a section");
    case YAML_SEQUENCE_NODE: return SPAN("a list");
    case YAML_NO_NODE:
    case YAML_SCALAR_NODE: break;
    }
    return yaml_text(node);
}

/* The beginning of what was found, in one line. */
static size_t quote(struct span found, char ret_text[80])
{
    size_t size = found.size < 80 ? found.size : 80;
    for (size_t i = 0; i < size; i++) {
        bool is_control = (unsigned char)found.data[i] < ' ' || found.data[i] == 127;
        ret_text[i] = found.data[i];
        if (is_control)
            ret_text[i] = '?';
    }
    return size;
}

int settings_refuse(struct problem *problem, size_t line, const char *key, struct span found,
                    const char *accepts)
{
    char text[80];
    problem_set(problem, key, "is \"%.*s\"; %s is accepted", (int)quote(found, text), text,
                accepts);
    if (problem)
        problem->line = (unsigned)line;
    return SETTINGS_INVALID;
}

int settings_refuse_twice(struct problem *problem, size_t line, const char *key)
{
    return settings_refuse_because(problem, line, key, "is given twice; once is accepted");
}

int settings_refuse_because(struct problem *problem, size_t line, const char *key, const char *why)
{
    problem_set(problem, key, "%s", why);
    if (problem)
        problem->line = (unsigned)line;
    return SETTINGS_INVALID;
}
