// SPDX-License-Identifier: Apache-2.0

// What programs do with HashiCorp's client of the Consul API, one conversation for each case:
//
//	consul ADDRESS CASE
//
// It says what was not as the client expects, and ends with 1 then.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

const patience = 20 * time.Second

var cases = map[string]func(){
	"lock": lock, "lock_lost": lockLost, "lock_try": lockTry, "semaphore": semaphore,
	"watch_service": watchService, "watch_keyprefix": watchKeyPrefix, "watch_key": watchKey,
	"watch_checks": watchChecks, "watch_services": watchServices,
	"watch_agent_service": watchAgentService,
	"register":            register, "ttl": ttl, "maintenance": maintenance, "filters": filters,
	"agent_health": agentHealth, "cas": cas, "keys": keys, "session_ttl": sessionTTL,
	"session_renew": sessionRenew, "catalog": catalog, "node_checks": nodeChecks,
	"session_checks": sessionChecks,
}

var address string

func main() {
	if len(os.Args) != 3 || cases[os.Args[2]] == nil {
		names := make([]string, 0, len(cases))
		for name := range cases {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Println(strings.Join(names, "\n"))
		return
	}
	address = os.Args[1]
	cases[os.Args[2]]()
}

func connect() *api.Client {
	client, err := api.NewClient(&api.Config{Address: address})
	must(err)
	return client
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func expect(is bool, format string, arguments ...any) {
	if !is {
		fail(format, arguments...)
	}
}

// receive waits for the next that comes, or for the end of a channel.
func receive[T any](what string, channel <-chan T) T {
	select {
	case value := <-channel:
		return value
	case <-time.After(patience):
		fail("%s did not come", what)
		panic("unreachable")
	}
}

// eventually asks until it is so.
func eventually(what string, is func() bool) {
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		expect(time.Now().Before(end), "not so: %s", what)
	}
}
