// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/hashicorp/consul/api"
)

// far tells of a node with two services, one of which has a check of its own.
func far(catalog *api.Catalog) {
	for _, told := range []*api.CatalogRegistration{
		{Node: "far", Address: "10.9.9.9", ID: "e0155642-135d-4739-9853-a1ee6c9f945b",
			NodeMeta:        map[string]string{"os": "linux", "rack": "r-7"},
			TaggedAddresses: map[string]string{"lan": "10.9.9.9", "wan": "198.51.100.9"},
			Checks: api.HealthChecks{{Node: "far", CheckID: "far:alive", Name: "alive",
				Status: api.HealthPassing}}},
		{Node: "far", SkipNodeUpdate: true, Service: &api.AgentService{ID: "redis-1", Service: "redis",
			Tags: []string{"v1"}, Meta: map[string]string{"version": "1"}, Port: 6379},
			Checks: api.HealthChecks{{Node: "far", CheckID: "redis:alive", Name: "redis",
				Status: api.HealthWarning, ServiceID: "redis-1", ServiceName: "redis"}}},
		{Node: "far", SkipNodeUpdate: true, Service: &api.AgentService{ID: "redis-2", Service: "redis",
			Tags: []string{"v2"}, Meta: map[string]string{"version": "2"}, Port: 6380,
			Address: "10.9.9.8"}},
	} {
		_, err := catalog.Register(told, nil)
		must(err)
	}
}

func ids(entries []*api.ServiceEntry) string {
	found := make([]string, 0, len(entries))
	for _, entry := range entries {
		found = append(found, entry.Service.ID)
	}
	return strings.Join(found, ",")
}

func catalog() {
	client := connect()
	catalog, health := client.Catalog(), client.Health()
	far(catalog)
	nodes, meta, err := catalog.Nodes(&api.QueryOptions{Filter: `Meta.os == linux`})
	must(err)
	expect(len(nodes) == 1 && nodes[0].Node == "far" && nodes[0].Address == "10.9.9.9" &&
		nodes[0].TaggedAddresses["wan"] == "198.51.100.9" && meta.LastIndex > 0, "nodes: %+v", nodes)
	nodes, _, err = catalog.Nodes(&api.QueryOptions{NodeMeta: map[string]string{"rack": "r-8"}})
	must(err)
	expect(len(nodes) == 0, "nodes of no rack: %v", nodes)
	node, _, err := catalog.Node("far", &api.QueryOptions{Filter: `"v2" in Tags`})
	must(err)
	expect(len(node.Services) == 1 && node.Services["redis-2"].Port == 6380, "node: %+v", node)
	list, _, err := catalog.NodeServiceList("far", nil)
	must(err)
	expect(len(list.Services) == 2 && list.Node.Meta["rack"] == "r-7", "list: %+v", list)
	none, _, err := catalog.Node("none", nil)
	must(err)
	expect(none == nil, "no node: %+v", none)
	services, _, err := catalog.Service("redis", "v1", nil)
	must(err)
	expect(len(services) == 1 && services[0].Address == "10.9.9.9" && services[0].ServiceAddress == "" &&
		services[0].NodeMeta["os"] == "linux", "services: %+v", services)

	entries, _, err := health.Service("redis", "", true, nil)
	must(err)
	expect(ids(entries) == "redis-2", "passing: %s", ids(entries))
	for filter, want := range map[string]string{
		`Checks.Status == warning`:                                   "redis-1",
		`Service.Meta.version matches "^[23]$"`:                      "redis-2",
		`Node.Meta["rack"] == "r-7" and Service.Port != 6380`:        "redis-1",
		`Service.Address is empty or Service.Weights.Passing == "7"`: "redis-1",
	} {
		entries, _, err = health.Service("redis", "", false, &api.QueryOptions{Filter: filter})
		must(err)
		expect(ids(entries) == want, "%s: %s", filter, ids(entries))
	}
	checks, _, err := health.Node("far", &api.QueryOptions{Filter: "ServiceID == ``"})
	must(err)
	expect(len(checks) == 1 && checks[0].CheckID == "far:alive", "checks: %v", checks)
	checks, _, err = health.State(api.HealthAny, &api.QueryOptions{Filter: "Node == far"})
	must(err)
	expect(len(checks) == 2, "checks of the node: %v", checks)

	_, err = catalog.Deregister(&api.CatalogDeregistration{Node: "far", ServiceID: "redis-1"}, nil)
	must(err)
	checks, _, err = health.Node("far", nil)
	must(err)
	expect(len(checks) == 1, "its checks went with it: %v", checks)
	_, err = catalog.Deregister(&api.CatalogDeregistration{Node: "far"}, nil)
	must(err)
	entries, _, err = health.Service("redis", "", false, nil)
	must(err)
	expect(len(entries) == 0, "left: %s", ids(entries))
	_, _, err = catalog.Nodes(&api.QueryOptions{Datacenter: "mars"})
	expect(err != nil && strings.Contains(err.Error(), "No path to datacenter"), "mars: %v", err)
}

// nodeChecks are of the agent, and hide what is on its node.
func nodeChecks() {
	client := connect()
	agent := client.Agent()
	must(agent.ServiceRegister(registration("web")))
	must(agent.CheckRegister(&api.AgentCheckRegistration{Name: "disk",
		AgentServiceCheck: api.AgentServiceCheck{TTL: "30s", Status: api.HealthPassing}}))
	passing := func() int {
		entries, _, err := client.Health().Service("web", "", true, nil)
		must(err)
		return len(entries)
	}
	expect(passing() == 1, "it is well, and hidden")
	must(agent.FailTTL("disk", "full"))
	expect(passing() == 0, "its disk is full, and it is passing")
	must(agent.CheckDeregister("disk"))
	must(agent.EnableNodeMaintenance("new disk"))
	expect(passing() == 0, "its node is in maintenance, and it is passing")
	must(agent.DisableNodeMaintenance())
	expect(passing() == 1, "it is well again, and hidden")

	must(agent.CheckRegister(&api.AgentCheckRegistration{ID: "more", Name: "more", ServiceID: "web",
		AgentServiceCheck: api.AgentServiceCheck{TTL: "30s", Status: api.HealthPassing}}))
	must(agent.ServiceRegister(registration("web")))
	checks, err := agent.Checks()
	must(err)
	expect(len(checks) == 2, "a check went with a registration: %v", checks)
	must(agent.ServiceRegisterOpts(registration("web"), api.ServiceRegisterOpts{
		ReplaceExistingChecks: true}))
	checks, err = agent.Checks()
	must(err)
	expect(len(checks) == 1, "a check stayed: %v", checks)
}

// sessionChecks end a session, and the lock that it holds.
func sessionChecks() {
	client := connect()
	must(client.Agent().ServiceRegister(registration("web")))
	_, _, err := client.Session().Create(&api.SessionEntry{
		ServiceChecks: []api.ServiceCheck{{ID: "none"}}}, nil)
	expect(err != nil, "a session with a check that is not there")
	id, _, err := client.Session().Create(&api.SessionEntry{Behavior: api.SessionBehaviorDelete,
		NodeChecks:    []string{"serfHealth"},
		ServiceChecks: []api.ServiceCheck{{ID: "service:web"}}}, nil)
	must(err)
	info, _, err := client.Session().Info(id, nil)
	must(err)
	expect(len(info.ServiceChecks) == 1 && info.ServiceChecks[0].ID == "service:web" &&
		len(info.NodeChecks) == 1, "session: %+v", info)
	got, _, err := client.KV().Acquire(&api.KVPair{Key: "held", Value: []byte("x"), Session: id}, nil)
	must(err)
	expect(got, "not acquired")
	pair, meta, err := client.KV().Get("held", nil)
	must(err)
	expect(pair.Session == id, "held by: %+v", pair)
	must(client.Agent().FailTTL("service:web", ""))
	pair, _, err = client.KV().Get("held", &api.QueryOptions{WaitIndex: meta.LastIndex,
		WaitTime: patience})
	must(err)
	expect(pair == nil, "still there: %+v", pair)
	info, _, err = client.Session().Info(id, nil)
	must(err)
	expect(info == nil, "its check is critical, and it is there: %+v", info)
}
