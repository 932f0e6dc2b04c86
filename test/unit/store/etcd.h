#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A real etcd for tests: members of their own, on loopback ports of their own, in a directory that
 * goes with them.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>

#include "store/fixture.h"

#define ETCD_MEMBERS_MAX 3

struct etcd_member {
    pid_t pid;
    int port, peer_port;
    char host[16];
    int net_fd; /* the network it is in; 0: ours */
};

struct etcd_cluster {
    char dir[64];
    struct etcd_member members[ETCD_MEMBERS_MAX];
    unsigned n_members;
    const char *option;            /* one more, or NULL */
    const char *certificate, *key; /* clients have to come by TLS, and show one of these too */
    char texts[ETCD_MEMBERS_MAX][32];
    const char *endpoints[ETCD_MEMBERS_MAX];
};

/* Not one that the kernel gives to a connection of somebody else while its member is down. */
static inline int etcd_free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    uint16_t random;
    int fd, r;
    do {
        CHECK_INT(getrandom(&random, sizeof(random), 0), sizeof(random));
        address.sin_port = htons((uint16_t)(16000 + random % 16000));
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        r = bind(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
    } while (r);
    return ntohs(address.sin_port);
}

static inline void etcd_run(struct etcd_cluster *cluster, unsigned i)
{
    const struct etcd_member *member = &cluster->members[i];
    char name[8], dir[96], clients[48], peers[48], all[160] = "", log[96];
    snprintf(name, sizeof(name), "m%u", i);
    snprintf(dir, sizeof(dir), "%s/%s", cluster->dir, name);
    snprintf(log, sizeof(log), "%s/%s.log", cluster->dir, name);
    snprintf(clients, sizeof(clients), "http%s://%s:%d", cluster->key ? "s" : "", member->host,
             member->port);
    snprintf(peers, sizeof(peers), "http://%s:%d", member->host, member->peer_port);
    for (unsigned j = 0; j < cluster->n_members; j++)
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%sm%u=http://%s:%d", j ? "," : "",
                 j, cluster->members[j].host, cluster->members[j].peer_port);
    if (member->net_fd && setns(member->net_fd, CLONE_NEWNET))
        _exit(126);

    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *arguments[40] = {
        "etcd",  "--name",
        name,    "--data-dir",
        dir,     "--listen-client-urls",
        clients, "--advertise-client-urls",
        clients, "--listen-peer-urls",
        peers,   "--initial-advertise-peer-urls",
        peers,   "--initial-cluster",
        all,     "--heartbeat-interval",
        "100",   "--election-timeout",
        "1000",
    };
    unsigned n = 19;
    if (cluster->option)
        arguments[n++] = cluster->option;
    if (cluster->key) {
        const char *const more[] = { "--cert-file",       cluster->certificate,
                                     "--trusted-ca-file", cluster->certificate,
                                     "--key-file",        cluster->key,
                                     "--client-cert-auth" };
        for (unsigned j = 0; j < sizeof(more) / sizeof(more[0]); j++)
            arguments[n++] = more[j];
    }
    execvp("etcd", (char **)(uintptr_t)arguments);
    _exit(127);
}

static inline void etcd_start_member(struct etcd_cluster *cluster, unsigned i)
{
    fflush(stdout);
    cluster->members[i].pid = fork();
    if (cluster->members[i].pid == 0)
        etcd_run(cluster, i);
}

static inline void etcd_signal(struct etcd_cluster *cluster, unsigned i, int number)
{
    struct etcd_member *member = &cluster->members[i];
    kill(member->pid, number);
    if (number == SIGCONT)
        return;
    waitpid(member->pid, NULL, number == SIGSTOP ? WUNTRACED : 0); /* its threads stop one by one */
    if (number == SIGSTOP)
        return;
    member->pid = 0;
}

static inline void etcd_start(struct etcd_cluster *cluster, unsigned n_members)
{
    cluster->n_members = n_members;
    snprintf(cluster->dir, sizeof(cluster->dir), "%s/sarsen-etcd-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(cluster->dir));
    for (unsigned i = 0; i < n_members; i++) {
        struct etcd_member *member = &cluster->members[i];
        member->port = etcd_free_port();
        member->peer_port = etcd_free_port();
        if (!member->host[0])
            snprintf(member->host, sizeof(member->host), "127.0.0.1");
        snprintf(cluster->texts[i], sizeof(cluster->texts[i]), "%.15s:%d", member->host,
                 member->port);
        cluster->endpoints[i] = cluster->texts[i];
    }
    for (unsigned i = 0; i < n_members; i++)
        etcd_start_member(cluster, i);
}

static inline void etcd_stop(struct etcd_cluster *cluster)
{
    for (unsigned i = 0; i < cluster->n_members; i++) {
        if (cluster->members[i].pid)
            etcd_signal(cluster, i, SIGKILL);
    }
    nftw(cluster->dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* Runs etcdctl with these arguments, $ETCD being the first member's address; true when it says that
 * it is done. */
static inline bool etcd_ctl(const struct etcd_cluster *cluster, const char *arguments)
{
    char command[512];
    snprintf(command, sizeof(command),
             "export ETCDCTL_API=3 ETCD=http://%s; etcdctl --endpoints=$ETCD --dial-timeout=20s "
             "--command-timeout=30s %s >>%s/ctl.log 2>&1",
             cluster->endpoints[0], arguments, cluster->dir);
    return system(command) == 0;
}

/* The member that leads, by what etcdctl says of each. */
static inline unsigned etcd_leader(const struct etcd_cluster *cluster)
{
    for (unsigned tries = 0; tries < 50; tries++) {
        for (unsigned i = 0; i < cluster->n_members; i++) {
            char command[256];
            snprintf(command, sizeof(command),
                     "ETCDCTL_API=3 etcdctl --endpoints=http://%s --command-timeout=5s endpoint "
                     "status 2>/dev/null | grep -q ', true, '",
                     cluster->endpoints[i]);
            if (cluster->members[i].pid && system(command) == 0)
                return i;
        }
    }
    CHECK(!"a leader");
    return 0;
}

/* --- a store on it --- */

static inline void fixture_init_etcd(struct fixture *fixture, const struct etcd_cluster *cluster,
                                     struct store_etcd_settings *settings, const char *prefix)
{
    alarm(150); /* it takes its time to start, more on a busy machine */
    fixture_init(fixture);
    *settings = (struct store_etcd_settings){
        .endpoints = cluster->endpoints,
        .n_endpoints = cluster->n_members,
        .prefix = prefix,
        .open_timeout = 60 * NSEC_PER_SEC,
    };
    fixture->settings.etcd = settings;
}
