// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"time"

	"github.com/hashicorp/consul/api"
)

// Two want one lock: the second has it when the first gives it back.
func lock() {
	first, err := connect().LockKey("service/leader")
	must(err)
	second, err := connect().LockOpts(&api.LockOptions{Key: "service/leader", Value: []byte("b")})
	must(err)
	_, err = first.Lock(nil)
	must(err)
	_, err = first.Lock(nil)
	expect(errors.Is(err, api.ErrLockHeld), "held already: %v", err)

	has := make(chan error)
	go func() {
		_, err := second.Lock(nil)
		has <- err
	}()
	client := connect()
	eventually("both have a session", func() bool {
		sessions, _, err := client.Session().List(nil)
		must(err)
		return len(sessions) == 2
	})
	select {
	case <-has:
		fail("both have it")
	default:
	}
	must(first.Unlock())
	must(receive("the lock", has))
	pair, _, err := client.KV().Get("service/leader", nil)
	must(err)
	expect(string(pair.Value) == "b" && pair.Session != "" && pair.LockIndex == 2,
		"the key: %+v", pair)
	expect(pair.Flags == api.LockFlagValue, "flags: %x", pair.Flags)
	expect(errors.Is(first.Destroy(), api.ErrLockInUse), "somebody else's was destroyed")
	must(second.Unlock())
	must(second.Destroy())
	pair, _, err = client.KV().Get("service/leader", nil)
	must(err)
	expect(pair == nil, "still there: %+v", pair)
}

// Whoever holds a lock learns that its session ended.
func lockLost() {
	client := connect()
	held, err := client.LockOpts(&api.LockOptions{Key: "lost", SessionOpts: &api.SessionEntry{
		Name: "lost", TTL: "10s", LockDelay: time.Millisecond}})
	must(err)
	lost, err := held.Lock(nil)
	must(err)
	pair, _, err := client.KV().Get("lost", nil)
	must(err)
	_, err = client.Session().Destroy(pair.Session, nil)
	must(err)
	receive("the end of the lock", lost)
	must(ignore(held.Unlock(), api.ErrLockNotHeld))

	again, err := client.LockKey("lost")
	must(err)
	_, err = again.Lock(nil)
	must(err)
	must(again.Unlock())
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// One that does not want to wait gets nothing.
func lockTry() {
	first, err := connect().LockKey("try")
	must(err)
	_, err = first.Lock(nil)
	must(err)
	second, err := connect().LockOpts(&api.LockOptions{Key: "try", LockTryOnce: true,
		LockWaitTime: 200 * time.Millisecond})
	must(err)
	lost, err := second.Lock(nil)
	must(err)
	expect(lost == nil, "both have it")
	must(first.Unlock())
	lost, err = second.Lock(nil)
	must(err)
	expect(lost != nil, "nobody has it, and it was not given")
	must(second.Unlock())
}

// Two of three have it.
func semaphore() {
	made := make([]*api.Semaphore, 3)
	for i := range made {
		var err error
		made[i], err = connect().SemaphorePrefix("pool", 2)
		must(err)
	}
	_, err := made[0].Acquire(nil)
	must(err)
	lost, err := made[1].Acquire(nil)
	must(err)
	has := make(chan error)
	go func() {
		_, err := made[2].Acquire(nil)
		has <- err
	}()
	client := connect()
	eventually("three contend", func() bool {
		pairs, _, err := client.KV().List("pool", nil)
		must(err)
		return len(pairs) == 4
	})
	select {
	case <-has:
		fail("three have it")
	case <-lost:
		fail("it was lost")
	default:
	}
	expect(errors.Is(made[0].Destroy(), api.ErrSemaphoreHeld), "destroyed while held")
	must(made[0].Release())
	must(receive("the third's turn", has))
	must(made[1].Release())
	must(made[2].Release())
	must(made[2].Destroy())
}

// A session whose TTL passes is gone, with its keys where it asked for that.
func sessionTTL() {
	client := connect()
	id, _, err := client.Session().Create(&api.SessionEntry{Name: "short", TTL: "10s",
		Behavior: api.SessionBehaviorDelete, LockDelay: time.Second}, nil)
	must(err)
	got, _, err := client.KV().Acquire(&api.KVPair{Key: "held", Value: []byte("x"), Session: id}, nil)
	must(err)
	expect(got, "not acquired")
	info, _, err := client.Session().Info(id, nil)
	must(err)
	expect(info.Name == "short" && info.TTL == "10s" && info.Behavior == "delete" &&
		info.LockDelay == time.Second, "info: %+v", info)
	of, _, err := client.Session().Node(info.Node, nil)
	must(err)
	expect(len(of) == 1 && of[0].ID == id, "sessions of the node: %v", of)
	entry, _, err := client.Session().Renew(id, nil)
	must(err)
	expect(entry != nil && entry.ID == id, "renewed: %+v", entry)

	pair, meta, err := client.KV().Get("held", nil)
	must(err)
	expect(pair.Session == id, "held by: %+v", pair)
	pair, _, err = client.KV().Get("held", &api.QueryOptions{WaitIndex: meta.LastIndex,
		WaitTime: 40 * time.Second})
	must(err)
	expect(pair == nil, "still there: %+v", pair)
	entry, _, err = client.Session().Renew(id, nil)
	must(err)
	expect(entry == nil, "it is gone, and was renewed: %+v", entry)
	info, _, err = client.Session().Info(id, nil)
	must(err)
	expect(info == nil, "it is gone, and is shown: %+v", info)
}

// RenewPeriodic keeps a session, and destroys it at the end.
func sessionRenew() {
	client := connect()
	id, _, err := client.Session().CreateNoChecks(&api.SessionEntry{TTL: "10s"}, nil)
	must(err)
	stop, done := make(chan struct{}), make(chan error)
	go func() { done <- client.Session().RenewPeriodic("1s", id, nil, stop) }()
	info, _, err := client.Session().Info(id, nil)
	must(err)
	expect(info != nil, "it is gone")
	close(stop)
	must(receive("the end", done))
	info, _, err = client.Session().Info(id, nil)
	must(err)
	expect(info == nil, "still there: %+v", info)
}
