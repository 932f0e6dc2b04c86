#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A server's way from whoever started it to what it serves as: what is bound and handed over as
 * root, which user it becomes, and what the sandbox lets it open, all by the settings.
 *
 * Owns:     the sandbox. Threads: the control loop; enter before any other thread is started.
 */

#include "daemon/sandbox.h"
#include "daemon/settings.h"

struct given;

enum confine_answer {
    CONFINE_OK,
    CONFINE_REFUSED, /* the problem names the setting */
};

struct confine {
    struct sandbox *sandbox;
    struct sandbox_report report;
    enum sandbox_mode mode;
};

/* Binds what the settings name while we are root and are to become somebody else, and adds it to what
 * is given. Answers: CONFINE_REFUSED. */
int confine_bind(const struct settings *settings, struct given *given, struct problem *problem)
    MUST_CHECK;

/* The data directory must be there. `config` is read again later, so its place stays open. Answers:
 * CONFINE_REFUSED. */
int confine_enter(struct confine *confine, const struct settings *settings, const char *config,
                  struct problem *problem) MUST_CHECK;

/* Whether new settings name only what can be opened from in here. Answers: CONFINE_REFUSED. */
int confine_check(const struct confine *confine, const struct settings *settings,
                  struct problem *problem) MUST_CHECK;

void confine_fini(struct confine *confine);
