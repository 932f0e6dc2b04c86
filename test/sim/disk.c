/* SPDX-License-Identifier: Apache-2.0 */

#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "world.h"

#define SECTOR 512u

static char disks_path[DISK_PATH_MAX - 16];

void disks_begin(const char *path)
{
    snprintf(disks_path, sizeof(disks_path), "%s", path);
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        world_fail("%s cannot be made", path);
}

void disk_init(struct disk *disk, unsigned number)
{
    *disk = (struct disk){ 0 };
    snprintf(disk->path, sizeof(disk->path), "%s/p%u", disks_path, number);
    MUST(mkdir(disk->path, 0750) == 0, "%s cannot be made", disk->path);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void file_forget(struct disk_file *file)
{
    for (size_t i = 0; i < file->n_writes; i++)
        free(file->writes[i].before);
    file->n_writes = 0;
}

static void files_forget(struct disk *disk)
{
    for (unsigned i = 0; i < disk->n_files; i++) {
        file_forget(&disk->files[i]);
        free(disk->files[i].writes);
    }
    disk->n_files = 0;
    disk->fresh[0] = '\0';
}

static void images_forget(struct disk *disk)
{
    for (unsigned i = 0; i < disk->n_images; i++)
        free(disk->images[i].bytes);
    disk->n_images = 0;
}

void disk_fini(struct disk *disk)
{
    files_forget(disk);
    images_forget(disk);
    nftw(disk->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- what was not synced --- */

/* NULL: not a file of this disk. */
static struct disk_file *file_of(struct disk *disk, int fd, struct stat *info)
{
    if (fstat(fd, info) < 0 || !S_ISREG(info->st_mode))
        return NULL;
    for (unsigned i = 0; i < disk->n_files; i++) {
        if (disk->files[i].inode == info->st_ino)
            return &disk->files[i];
    }
    char link[32], path[DISK_PATH_MAX + 64] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    size_t size = strlen(disk->path);
    bool is_ours = readlink(link, path, sizeof(path) - 1) > 0 &&
                   strncmp(path, disk->path, size) == 0 && path[size] == '/';
    if (!is_ours || strchr(path + size + 1, '/') || disk->n_files == DISK_FILES_MAX)
        return NULL;
    struct disk_file *file = &disk->files[disk->n_files++];
    *file = (struct disk_file){ .inode = info->st_ino };
    snprintf(file->name, sizeof(file->name), "%.*s", (int)sizeof(file->name) - 1, path + size + 1);
    return file;
}

static void count_down(struct disk *disk)
{
    if (disk->cut_in && --disk->cut_in == 0)
        disk->on_cut(disk);
}

static void remember(struct disk_file *file, int fd, const struct stat *info, off_t at, size_t size)
{
    mem_grow(file->writes, file->n_writes, file->capacity);
    struct disk_write *write = &file->writes[file->n_writes++];
    *write = (struct disk_write){ at, size, mem_zalloc(1, size + 1), info->st_size };
    if (pread(fd, write->before, size, at) < 0)
        world_fail("the disk of the simulation cannot be read");
}

bool disk_on_write(struct disk *disk, int fd, off_t at, size_t size)
{
    struct stat info;
    struct disk_file *file = disk->is_gone ? NULL : file_of(disk, fd, &info);
    if (!file)
        return true;
    if (disk->is_full && at + (off_t)size > info.st_size)
        return false;
    count_down(disk);
    if (!disk->is_gone)
        remember(file, fd, &info, at, size);
    return true;
}

bool disk_on_truncate(struct disk *disk, int fd, off_t size)
{
    struct stat info;
    struct disk_file *file = disk->is_gone ? NULL : file_of(disk, fd, &info);
    if (!file)
        return true;
    if (size > info.st_size)
        return !disk->is_full;
    count_down(disk);
    if (!disk->is_gone)
        remember(file, fd, &info, size, (size_t)(info.st_size - size));
    return true;
}

void disk_on_sync(struct disk *disk, int fd)
{
    struct stat info;
    if (disk->is_gone)
        return;
    struct disk_file *file = file_of(disk, fd, &info);
    if (!file) {
        disk->fresh[0] = '\0'; /* the directory */
        return;
    }
    count_down(disk);
    if (!disk->is_gone)
        file_forget(file);
}

void disk_on_rename(struct disk *disk, const char *to)
{
    if (disk->is_gone)
        return;
    snprintf(disk->fresh, sizeof(disk->fresh), "%.*s", (int)sizeof(disk->fresh) - 1, to);
    count_down(disk);
}

/* --- what is left of it --- */

static void image_resize(struct disk_image *image, size_t size)
{
    if (size > image->size) {
        image->bytes = mem_resize(image->bytes, size, 1);
        memset(image->bytes + image->size, 0, size - image->size);
    }
    image->size = size;
}

/* From the last: sector by sector, or all of it. */
static void image_undo(struct disk_image *image, const struct disk_write *write)
{
    bool is_whole = chance(500), is_undone = chance(500);
    if ((size_t)write->at + write->size > image->size)
        image_resize(image, (size_t)write->at + write->size);
    for (size_t at = 0; at < write->size; at += SECTOR) {
        size_t size = write->size - at < SECTOR ? write->size - at : SECTOR;
        if (is_whole ? is_undone : chance(500))
            memcpy(image->bytes + write->at + at, write->before + at, size);
    }
}

static void image_lose(struct disk_image *image, const struct disk_file *file)
{
    size_t size = image->size;
    for (size_t i = file->n_writes; i-- > 0;) {
        image_undo(image, &file->writes[i]);
        if (chance(300))
            size = (size_t)file->writes[i].size_before;
    }
    image_resize(image, size);
}

static struct disk_file *file_named(struct disk *disk, const char *name)
{
    for (unsigned i = 0; i < disk->n_files; i++) {
        if (strcmp(disk->files[i].name, name) == 0)
            return &disk->files[i];
    }
    return NULL;
}

static void image_take(struct disk *disk, const char *name, bool loses_power)
{
    MUST(disk->n_images < DISK_FILES_MAX, "more files than the simulation keeps");
    struct disk_image *image = &disk->images[disk->n_images];
    *image = (struct disk_image){ 0 };
    snprintf(image->name, sizeof(image->name), "%.*s", (int)sizeof(image->name) - 1, name);
    char path[DISK_PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", disk->path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return;
    }
    image_resize(image, (size_t)info.st_size);
    MUST(pread(fd, image->bytes, image->size, 0) == info.st_size, "%s cannot be read", path);
    close(fd);
    const struct disk_file *file = file_named(disk, name);
    if (loses_power && file && file->inode == info.st_ino)
        image_lose(image, file);
    disk->n_images++;
}

/* In the order of names: that of a directory is left to chance, and not to ours. */
void disk_go(struct disk *disk, bool loses_power)
{
    if (disk->is_gone)
        return;
    struct dirent **names = NULL;
    int n = scandir(disk->path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        bool is_lost = loses_power && strcmp(names[i]->d_name, disk->fresh) == 0 && chance(500);
        if (names[i]->d_name[0] != '.' && !is_lost)
            image_take(disk, names[i]->d_name, loses_power);
        free(names[i]);
    }
    free(names);
    disk->is_gone = true;
}

static void image_put(const struct disk *disk, const struct disk_image *image)
{
    char path[DISK_PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", disk->path, image->name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    MUST(fd >= 0 && write(fd, image->bytes, image->size) == (ssize_t)image->size,
         "%s cannot be written", path);
    close(fd);
}

void disk_come_back(struct disk *disk)
{
    files_forget(disk);
    disk->cut_in = 0;
    if (!disk->is_gone)
        return;
    nftw(disk->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    MUST(mkdir(disk->path, 0750) == 0, "%s cannot be made", disk->path);
    for (unsigned i = 0; i < disk->n_images; i++)
        image_put(disk, &disk->images[i]);
    images_forget(disk);
    disk->is_gone = false;
}
