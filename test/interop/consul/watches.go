// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/consul/api/watch"
)

// plan runs a watch and returns what it is told of.
func plan(parameters map[string]any) <-chan any {
	made, err := watch.Parse(parameters)
	must(err)
	told := make(chan any, 64)
	made.HybridHandler = func(_ watch.BlockingParamVal, result any) { told <- result }
	go func() { must(made.Run(address)) }()
	return told
}

// until takes what a watch tells until it is what is looked for.
func until[T any](what string, told <-chan any, is func(T) bool) {
	for {
		found, ok := receive(what, told).(T)
		if ok && is(found) {
			return
		}
	}
}

func watchService() {
	agent := connect().Agent()
	told := plan(map[string]any{"type": "service", "service": "web", "passingonly": true})
	ids := func(n int) func([]*api.ServiceEntry) bool {
		return func(entries []*api.ServiceEntry) bool { return len(entries) == n }
	}
	until("nothing", told, ids(0))
	must(agent.ServiceRegister(registration("web-1")))
	until("the first", told, ids(1))
	must(agent.ServiceRegister(registration("web-2")))
	until("both", told, ids(2))
	must(agent.FailTTL("service:web-1", ""))
	until("one of both", told, ids(1))
	must(agent.ServiceDeregister("web-2"))
	until("none", told, ids(0))
}

func watchKeyPrefix() {
	kv := connect().KV()
	told := plan(map[string]any{"type": "keyprefix", "prefix": "app/"})
	put := func(key, value string) {
		_, err := kv.Put(&api.KVPair{Key: key, Value: []byte(value)}, nil)
		must(err)
	}
	has := func(values ...string) func(api.KVPairs) bool {
		return func(pairs api.KVPairs) bool {
			if len(pairs) != len(values) {
				return false
			}
			for i, value := range values {
				if string(pairs[i].Value) != value {
					return false
				}
			}
			return true
		}
	}
	put("app/a", "1")
	until("the first", told, has("1"))
	put("apple", "of no interest")
	put("app/b", "2")
	until("the second", told, has("1", "2"))
	put("app/a", "3")
	until("the change", told, has("3", "2"))
	_, err := kv.Delete("app/b", nil)
	must(err)
	until("the end of one", told, has("3"))
}

func watchKey() {
	kv := connect().KV()
	told := plan(map[string]any{"type": "key", "key": "flag"})
	_, err := kv.Put(&api.KVPair{Key: "flag", Value: []byte("on")}, nil)
	must(err)
	until("the key", told, func(pair *api.KVPair) bool { return string(pair.Value) == "on" })
	_, err = kv.Delete("flag", nil)
	must(err)
	for receive("the end of the key", told) != nil {
	}
}

func watchChecks() {
	agent := connect().Agent()
	must(agent.ServiceRegister(registration("web")))
	told := plan(map[string]any{"type": "checks", "state": "critical"})
	until("nothing", told, func(checks []*api.HealthCheck) bool { return len(checks) == 0 })
	must(agent.FailTTL("service:web", "no"))
	until("it", told, func(checks []*api.HealthCheck) bool {
		return len(checks) == 1 && checks[0].Output == "no"
	})
}

func watchServices() {
	agent := connect().Agent()
	told := plan(map[string]any{"type": "services"})
	has := func(is bool) func(map[string][]string) bool {
		return func(services map[string][]string) bool {
			tags, found := services["web"]
			return found == is && (!is || len(tags) == 2)
		}
	}
	until("none", told, has(false))
	must(agent.ServiceRegister(registration("web")))
	until("one", told, has(true))
	must(agent.ServiceDeregister("web"))
	until("none again", told, has(false))
}

func watchAgentService() {
	agent := connect().Agent()
	must(agent.ServiceRegister(registration("web")))
	told := plan(map[string]any{"type": "agent_service", "service_id": "web"})
	until("it", told, func(found *api.AgentService) bool { return found.Port == 8080 })
	changed := registration("web")
	changed.Port = 8081
	must(agent.ServiceRegister(changed))
	until("its change", told, func(found *api.AgentService) bool { return found.Port == 8081 })
}
