/* SPDX-License-Identifier: Apache-2.0 */

#include "faults.h"

#include "etcd.h"
#include "process.h"

enum fault {
    FAULT_CUT,
    FAULT_BREAK,
    FAULT_MEMBER_PAUSE,
    FAULT_MEMBER_STOP,
    FAULT_MEMBER_ISOLATE,
    FAULT_NO_LEADER,
    FAULT_COMPACT,
    FAULT_ETCD_FULL,
    FAULT_PAUSE,
    FAULT_KILL,
    FAULT_POWER,
    FAULT_CLOSE,
    FAULT_WALL,
    FAULT_DISK_FULL,
    FAULT_DISK_CUT,
    N_FAULTS,
};

/* Mends one of them later. */
struct mend {
    struct world_event event;
    enum fault fault;
    struct process *process;
    unsigned member;
};

static struct {
    struct world_event next;
    bool are_on[N_FAULTS];
    nsec pause;
} faults;

static struct process *some_process(void)
{
    return &processes.all[chance_below(processes.n)];
}

static void fault_mend(enum fault fault, struct process *process, unsigned member)
{
    switch (fault) {
    case FAULT_CUT: net_mend(&process->machine, member); break;
    case FAULT_MEMBER_PAUSE: member_pause(member, false); break;
    case FAULT_MEMBER_STOP: member_start(member); break;
    case FAULT_MEMBER_ISOLATE: member_isolate(member, false); break;
    case FAULT_NO_LEADER: members_find_leader(); break;
    case FAULT_ETCD_FULL: etcd_keys.is_full = etcd_keys.is_alarmed = false; break;
    case FAULT_PAUSE: process->machine.is_paused = false; break;
    case FAULT_DISK_FULL: process->disk.is_full = false; break;
    case FAULT_BREAK:
    case FAULT_COMPACT:
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_CLOSE:
    case FAULT_WALL:
    case FAULT_DISK_CUT:
    case N_FAULTS: break;
    }
}

static void mend_on_due(struct world_event *event)
{
    const struct mend *mend = container_of(event, struct mend, event);
    trace("mended: fault %u of %s, member %u", (unsigned)mend->fault, mend->process->who,
          mend->member);
    fault_mend(mend->fault, mend->process, mend->member);
}

/* Mostly short; some outlast every patience and every lease. */
static nsec some_time(void)
{
    return chance(300) ? chance_time(4 * SECOND, 16 * SECOND) : chance_time(10 * MSEC, 3 * SECOND);
}

static void fault_happen(enum fault fault)
{
    struct mend *mend = arena_new(&world.arena, struct mend);
    struct process *process = some_process();
    unsigned member = chance_below(etcd_keys.n_members);
    *mend = (struct mend){ { .on_due = mend_on_due }, fault, process, member };
    trace("fault %u: %s, member %u", (unsigned)fault, process->who, member);
    nsec time = some_time();
    switch (fault) {
    case FAULT_CUT: net_cut(&process->machine, member); break;
    case FAULT_BREAK: net_break(&process->machine, member); break;
    case FAULT_MEMBER_PAUSE: member_pause(member, true); break;
    case FAULT_MEMBER_STOP: member_stop(member); break;
    case FAULT_MEMBER_ISOLATE: member_isolate(member, true); break;
    case FAULT_NO_LEADER: members_lose_leader(); break;
    case FAULT_COMPACT:
        etcd_compact(etcd_keys.revision - (int64_t)(chance(500) ? 0 : chance_below(20)));
        break;
    case FAULT_ETCD_FULL: etcd_keys.is_full = true; break;
    case FAULT_PAUSE: process->machine.is_paused = process_is_up(process); break;
    case FAULT_KILL: process_stop(process, PROCESS_IS_KILLED, time / 4); break;
    case FAULT_POWER: process_stop(process, PROCESS_LOSES_POWER, time / 4); break;
    case FAULT_CLOSE: process_stop(process, PROCESS_CLOSES, time / 4); break;
    case FAULT_WALL:
        process->machine.wall_offset += (int64_t)chance_below(7200000) - 3600000;
        break;
    case FAULT_DISK_FULL: process->disk.is_full = true; break;
    case FAULT_DISK_CUT: process->disk.cut_in = 1 + chance_below(30); break;
    case N_FAULTS: break;
    }
    world_at(&mend->event, world.now + time);
}

static bool fault_is_possible(enum fault fault)
{
    switch (fault) {
    case FAULT_CUT:
    case FAULT_BREAK:
    case FAULT_MEMBER_PAUSE:
    case FAULT_MEMBER_STOP:
    case FAULT_NO_LEADER:
    case FAULT_COMPACT:
    case FAULT_ETCD_FULL: return processes.has_etcd;
    case FAULT_MEMBER_ISOLATE: return processes.has_etcd && etcd_keys.n_members > 1;
    case FAULT_DISK_FULL:
    case FAULT_DISK_CUT: return !processes.has_etcd;
    case FAULT_PAUSE:
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_CLOSE:
    case FAULT_WALL: return true;
    case N_FAULTS: break;
    }
    return false;
}

static void next_on_due(struct world_event *event)
{
    world_at(event, world.now + chance_time(faults.pause / 4, 2 * faults.pause));
    enum fault fault = chance_below(N_FAULTS);
    if (faults.are_on[fault])
        fault_happen(fault);
}

void faults_begin(void)
{
    for (unsigned i = 0; i < N_FAULTS; i++)
        faults.are_on[i] = chance(500) && fault_is_possible(i);
    faults.pause = chance_time(30 * MSEC, 800 * MSEC);
    faults.next = (struct world_event){ .on_due = next_on_due };
    world_at(&faults.next, world.now + chance_time(0, 5 * SECOND));
}

void faults_end(void)
{
    world_cancel(&faults.next);
    world.is_calm = true;
    trace("calm");
    for (unsigned i = 0; i < N_FAULTS; i++) {
        for (unsigned p = 0; p < processes.n; p++) {
            for (unsigned member = 0; member < etcd_keys.n_members; member++)
                fault_mend(i, &processes.all[p], member);
        }
    }
    for (unsigned p = 0; p < processes.n; p++)
        processes.all[p].disk.cut_in = 0;
}
