#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the process may still do once it serves: whoever takes it over finds little to work with.
 *
 *   Landlock   files and directories that were named at the start, and no others
 *   seccomp    the system calls that serving takes; any other ends the process (SIGSYS), and there
 *              is no executing another program and no memory that turns into code
 *   both       no privileges are gained by executing anything (no_new_privs)
 *
 * It is entered once, before the first thread is started, and there is no way back. What the
 * kernel lacks is told in the report; what a path was not named for is refused by the kernel, so
 * settings that come later are held to sandbox_allows() first, which can say so in words.
 *
 * Owns:     its copy of the paths. Threads: enter with one thread; ask from any.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "base/error.h"

struct sandbox;

enum sandbox_mode {
    SANDBOX_AUTO, /* what the kernel has */
    SANDBOX_ON,   /* all of it, or none of Sarsen */
    SANDBOX_OFF,
};

enum sandbox_access {
    SANDBOX_READ,
    SANDBOX_WRITE, /* and read, make and remove */
};

struct sandbox_report {
    int landlock; /* the version of the kernel's interface; 0: none */
    bool has_seccomp;
};

enum sandbox_answer {
    SANDBOX_OK,
    SANDBOX_REFUSED, /* SANDBOX_ON, and the problem says what the kernel lacks */
};

struct sandbox *sandbox_new(void);
struct sandbox *sandbox_free(struct sandbox *sandbox);

/* A file or directory with all that is below it. What does not exist when the sandbox is entered is
 * left out. */
void sandbox_add(struct sandbox *sandbox, const char *path, enum sandbox_access access);

/* The directory that a file is in, by its name and by where a link leads: it can be replaced. */
void sandbox_add_place_of(struct sandbox *sandbox, const char *path, enum sandbox_access access);

/* What every process of ours reads: the resolver's and OpenSSL's settings, time zones, cgroups. */
void sandbox_add_system(struct sandbox *sandbox);

/* Answers: SANDBOX_REFUSED. */
int sandbox_enter(struct sandbox *sandbox, enum sandbox_mode mode,
                  struct sandbox_report *ret_report, struct problem *problem) MUST_CHECK;

/* Whether a path that was not known at the start lies where it may be opened. In a directory that is
 * not there everything is: who tries to open it is told better. */
bool sandbox_allows(const struct sandbox *sandbox, const char *path, enum sandbox_access access);
