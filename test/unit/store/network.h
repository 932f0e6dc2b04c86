#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A network of the test's own: the test and each member of a cluster have a network namespace and
 * an address, with a bridge between them. Two of them are cut off from each other by telling each
 * that the other has an address (of Ethernet) that nobody has: what they send is lost without a
 * word, as with a switch that fails. All of it goes with the processes that are in it.
 */

#include <sched.h>
#include <stdarg.h>

#include "store/etcd.h"

#define NETWORK_TEST 100u /* the test's own place; members are at 1, 2, 3 */

static inline int network_run(int net_fd, const char *format, ...) PRINTF_LIKE(2, 3);

static inline int network_run(int net_fd, const char *format, ...)
{
    char command[256], whole[320] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    if (net_fd)
        snprintf(whole, sizeof(whole), "nsenter --net=/proc/%d/fd/%d ", (int)getpid(), net_fd);
    snprintf(whole + strlen(whole), sizeof(whole) - strlen(whole), "%s", command);
    return system(whole);
}

/* A namespace is there while a descriptor of it is; the process that made it is not needed. */
static inline int network_new(unsigned place)
{
    int pipe_fds[2];
    char byte, path[64];
    CHECK_INT(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNET) || write(pipe_fds[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    CHECK_INT(read(pipe_fds[0], &byte, 1), 1);
    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)child);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd > 0);
    CHECK_INT(
        network_run(0, "ip link add v%u type veth peer name eth0 netns %d", place, (int)child), 0);
    CHECK_INT(network_run(0, "ip link set v%u master br0 up", place), 0);
    CHECK_INT(network_run(fd, "ip addr add 10.77.0.%u/24 dev eth0", place), 0);
    CHECK_INT(network_run(fd, "ip link set eth0 up"), 0);
    CHECK_INT(network_run(fd, "ip link set lo up"), 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return fd;
}

/* Puts the test, and members that are not started yet, into it; or ends the case. */
static inline void network_start(struct etcd_cluster *cluster, unsigned n_members)
{
    if (unshare(CLONE_NEWNET))
        check_skip("this machine lets us make no namespaces of the network");
    if (network_run(0, "ip link set lo up 2>/dev/null") ||
        network_run(0, "ip link add br0 type bridge 2>/dev/null"))
        check_skip("this machine has no ip(8), or no bridges");
    CHECK_INT(network_run(0, "ip addr add 10.77.0.%u/24 dev br0", NETWORK_TEST), 0);
    CHECK_INT(network_run(0, "ip link set br0 up"), 0);
    for (unsigned i = 0; i < n_members; i++) {
        struct etcd_member *member = &cluster->members[i];
        snprintf(member->host, sizeof(member->host), "10.77.0.%u", i + 1);
        member->net_fd = network_new(i + 1);
    }
}

static inline void network_lead_astray(const struct etcd_cluster *cluster, unsigned from,
                                       unsigned to, bool is_cut)
{
    bool is_test = from == NETWORK_TEST;
    int fd = is_test ? 0 : cluster->members[from].net_fd;
    unsigned place = to == NETWORK_TEST ? NETWORK_TEST : to + 1;
    const char *device = is_test ? "br0" : "eth0";
    if (is_cut)
        CHECK_INT(network_run(fd,
                              "ip neigh replace 10.77.0.%u lladdr 02:00:00:00:00:01 dev %s "
                              "nud permanent",
                              place, device),
                  0);
    else
        CHECK_INT(network_run(fd, "ip neigh del 10.77.0.%u dev %s", place, device), 0);
}

/* Members by their index, and NETWORK_TEST. */
static inline void network_cut(const struct etcd_cluster *cluster, unsigned a, unsigned b)
{
    network_lead_astray(cluster, a, b, true);
    network_lead_astray(cluster, b, a, true);
}

static inline void network_mend(const struct etcd_cluster *cluster, unsigned a, unsigned b)
{
    network_lead_astray(cluster, a, b, false);
    network_lead_astray(cluster, b, a, false);
}
