#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writers that go on whatever happens, and count. Each write makes a key that must be absent: one
 * that was done twice would be told a conflict, and one that was told done, or not done, is looked
 * for at the end.
 */

#include "store/fixture.h"

#define MAKER_MAX 1000

struct maker {
    struct fixture *f;
    struct maker_write {
        struct store_write write;
        struct maker *maker;
        int number, answer;
    } writes[MAKER_MAX];
    int n_started, n_done, n_refused, n_open;
};

static inline void maker_on_done(struct store_write *write, int answer, int64_t revision)
{
    (void)revision;
    struct maker_write *self = container_of(write, struct maker_write, write);
    CHECK(answer == 0 || answer == STORE_READ_ONLY);
    self->answer = answer;
    self->maker->n_open--;
    if (answer)
        self->maker->n_refused++;
    else
        self->maker->n_done++;
}

static inline void maker_start_one(struct maker *maker)
{
    CHECK(maker->n_started < MAKER_MAX);
    struct maker_write *write = &maker->writes[maker->n_started];
    write->write.on_done = maker_on_done;
    write->maker = maker;
    write->number = maker->n_started++;
    write->answer = -1;
    char key[16];
    snprintf(key, sizeof(key), "m%03d", write->number);
    struct txn txn = { 0 };
    txn_expect(&txn, span_of(key), 0);
    txn_put(&txn, span_of(key), SPAN("made"));
    maker->n_open++;
    store_submit(maker->f->store, &write->write, &txn);
}

/* So many are on their way, whatever comes of them. */
static inline void maker_fill(struct maker *maker, int n)
{
    while (maker->n_open < n)
        maker_start_one(maker);
    fixture_turn(maker->f);
}

/* Keeps a few under way until `n` more are done. */
static inline void maker_run(struct maker *maker, int n)
{
    int until = maker->n_done + n;
    while (maker->n_done < until) {
        while (maker->n_open < 8 && !store_is_read_only(maker->f->store))
            maker_start_one(maker);
        fixture_turn(maker->f);
    }
}

static inline void maker_check(struct maker *maker)
{
    while (maker->n_open)
        fixture_turn(maker->f);
    for (int i = 0; i < maker->n_started; i++) {
        char key[16];
        snprintf(key, sizeof(key), "m%03d", i);
        bool is_there = store_find(maker->f->store, span_of(key)) != NULL;
        CHECK(is_there == (maker->writes[i].answer == 0));
    }
}

static inline void wait_writable(struct fixture *f, bool is_writable)
{
    while (store_is_read_only(f->store) == is_writable)
        fixture_turn(f);
}

static inline void wait_value(struct fixture *f, const char *key, const char *value)
{
    while (strcmp(fixture_get(f, key), value) != 0)
        fixture_turn(f);
}

/* A machine that is busy may take longer for an answer than the store is patient. It is not done
 * then, for certain, so it is done again. */
static inline void put_for_sure(struct fixture *f, const char *key, const char *value)
{
    int answer;
    while ((answer = fixture_put(f, key, value)) == STORE_READ_ONLY)
        wait_writable(f, true);
    CHECK_INT(answer, 0);
}

static inline void delete_for_sure(struct fixture *f, const char *key)
{
    int answer;
    while ((answer = fixture_delete(f, key)) == STORE_READ_ONLY)
        wait_writable(f, true);
    CHECK_INT(answer, 0);
}
