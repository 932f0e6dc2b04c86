#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The disk of a machine: a directory, in which every write that was not synced is remembered with
 * what was there before. When the power goes, each sector of those is, by chance, the old or the new
 * one. Who still runs then, because it is in the middle of something, writes to what nobody will see.
 *
 * The calls of the system that change files are ours (system.c), for SQLite's and our own code.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DISK_PATH_MAX 160u
#define DISK_FILES_MAX 12u

struct disk_write {
    off_t at;
    size_t size;
    char *before;
    off_t size_before; /* of the file */
};

struct disk_file {
    ino_t inode;
    char name[24];
    struct disk_write *writes; /* since the last sync */
    size_t n_writes, capacity;
};

struct disk_image {
    char name[24];
    char *bytes;
    size_t size;
};

struct disk {
    char path[DISK_PATH_MAX];
    struct disk_file files[DISK_FILES_MAX];
    unsigned n_files;
    struct disk_image images[DISK_FILES_MAX]; /* what will be there when it comes back */
    unsigned n_images;
    char fresh[24]; /* renamed to this name, and its directory is not synced */
    bool is_gone, is_full;
    unsigned cut_in; /* so many calls, then on_cut */
    void (*on_cut)(struct disk *disk);
};

/* Where all disks are; must be there. */
void disks_begin(const char *path);

void disk_init(struct disk *disk, unsigned number);
void disk_fini(struct disk *disk);

/* Keeps what is on it now; after a loss of power, what may be. */
void disk_go(struct disk *disk, bool loses_power);

/* After disk_go(), and when nobody has a file of it open any more. */
void disk_come_back(struct disk *disk);

/* For system.c: before a write, and after a sync. False: there is no room. */
bool disk_on_write(struct disk *disk, int fd, off_t at, size_t size);
bool disk_on_truncate(struct disk *disk, int fd, off_t size);
void disk_on_sync(struct disk *disk, int fd);
void disk_on_rename(struct disk *disk, const char *to);
