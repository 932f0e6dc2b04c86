/* SPDX-License-Identifier: Apache-2.0 */

#include "io/mailbox.h"

#include <pthread.h>

#include "check.h"

#define N_POSTERS 4
#define N_LETTERS 2000

struct note {
    struct letter letter;
    int poster, number;
};

struct inbox {
    struct loop *loop;
    int last[N_POSTERS];
    int n_received;
};

static void inbox_on_letter(void *owner, struct letter *letter)
{
    struct inbox *inbox = owner;
    struct note *note = container_of(letter, struct note, letter);
    CHECK_INT(note->number, inbox->last[note->poster] + 1);
    inbox->last[note->poster] = note->number;
    if (++inbox->n_received == N_POSTERS * N_LETTERS)
        loop_stop(inbox->loop);
    free(note);
}

struct poster {
    pthread_t thread;
    struct mailbox *mailbox;
    int number;
};

static void post(struct mailbox *mailbox, int poster, int number)
{
    struct note *note = calloc(1, sizeof(*note));
    note->poster = poster;
    note->number = number;
    mailbox_post(mailbox, &note->letter);
}

static void *poster_run(void *arg)
{
    struct poster *poster = arg;
    for (int i = 1; i <= N_LETTERS; i++)
        post(poster->mailbox, poster->number, i);
    return NULL;
}

TEST(letters_of_many_threads_all_arrive_each_senders_in_order)
{
    struct inbox inbox = { .loop = loop_new(clock_system()) };
    struct mailbox *mailbox = mailbox_new(inbox.loop, inbox_on_letter, &inbox);
    struct poster posters[N_POSTERS];
    for (int i = 0; i < N_POSTERS; i++) {
        posters[i] = (struct poster){ .mailbox = mailbox, .number = i };
        CHECK_INT(pthread_create(&posters[i].thread, NULL, poster_run, &posters[i]), 0);
    }
    CHECK_INT(loop_run(inbox.loop), 0);
    for (int i = 0; i < N_POSTERS; i++)
        CHECK_INT(pthread_join(posters[i].thread, NULL), 0);
    CHECK_INT(inbox.n_received, N_POSTERS * N_LETTERS);
    mailbox_free(mailbox);
    loop_free(inbox.loop);
}

TEST(freeing_hands_over_what_is_still_inside)
{
    struct inbox inbox = { .loop = loop_new(clock_system()) };
    struct mailbox *mailbox = mailbox_new(inbox.loop, inbox_on_letter, &inbox);
    for (int i = 1; i <= 3; i++)
        post(mailbox, 0, i);
    mailbox_free(mailbox);
    CHECK_INT(inbox.n_received, 3);
    loop_free(inbox.loop);
}

TEST(a_mailbox_emptied_once_wakes_the_loop_again)
{
    struct inbox inbox = { .loop = loop_new(clock_system()) };
    struct mailbox *mailbox = mailbox_new(inbox.loop, inbox_on_letter, &inbox);
    for (int i = 1; i <= 3; i++) {
        post(mailbox, 0, i);
        while (inbox.n_received < i)
            CHECK_INT(loop_turn(inbox.loop, NSEC_NEVER), 0);
    }
    mailbox_free(mailbox);
    loop_free(inbox.loop);
}
