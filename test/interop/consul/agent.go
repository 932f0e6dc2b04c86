// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/hashicorp/consul/api"
)

func registration(id string) *api.AgentServiceRegistration {
	return &api.AgentServiceRegistration{ID: id, Name: "web", Address: "127.0.0.1", Port: 8080,
		Tags: []string{"version=1.4.0", "blue"}, Meta: map[string]string{"zone": "eu"},
		Check: &api.AgentServiceCheck{TTL: "30s", Status: api.HealthPassing}}
}

func register() {
	agent := connect().Agent()
	must(agent.ServiceRegisterOpts(registration("web/1"), api.ServiceRegisterOpts{
		ReplaceExistingChecks: true}))
	found, _, err := agent.Service("web/1", nil)
	must(err)
	expect(found.Service == "web" && found.Port == 8080 && found.Tags[1] == "blue" &&
		found.Meta["zone"] == "eu" && found.Weights.Passing == 1, "service: %+v", found)
	expect(found.ContentHash != "" && found.Datacenter == "dc1", "service: %+v", found)
	must(agent.CheckRegister(&api.AgentCheckRegistration{ID: "more", Name: "More",
		ServiceID: "web/1", AgentServiceCheck: api.AgentServiceCheck{TTL: "30s"}}))
	checks, err := agent.Checks()
	must(err)
	expect(len(checks) == 2 && checks["more"].Status == api.HealthCritical &&
		checks["more"].ServiceName == "web", "checks: %+v", checks)
	must(agent.CheckDeregister("more"))
	name, err := agent.NodeName()
	must(err)
	expect(name != "", "no node has a name")
	members, err := agent.Members(false)
	must(err)
	expect(len(members) == 1, "members: %v", members)
	must(agent.ServiceDeregister("web/1"))
	services, err := agent.Services()
	must(err)
	expect(len(services) == 0, "left: %v", services)
	expect(agent.ServiceDeregister("web/1") != nil, "it was deregistered twice")
}

func ttl() {
	client := connect()
	agent := client.Agent()
	must(agent.ServiceRegister(&api.AgentServiceRegistration{Name: "job", Port: 1,
		Check: &api.AgentServiceCheck{TTL: "1s"}}))
	status := func() string {
		checks, _, err := client.Health().Checks("job", nil)
		must(err)
		return checks.AggregatedStatus()
	}
	expect(status() == api.HealthCritical, "it begins as %s", status())
	must(agent.PassTTL("service:job", "fine"))
	expect(status() == api.HealthPassing, "it passed, and is %s", status())
	must(agent.WarnTTL("service:job", "so so"))
	must(agent.UpdateTTL("service:job", "back", api.HealthPassing))
	entries, meta, err := client.Health().Service("job", "", true, nil)
	must(err)
	expect(len(entries) == 1 && entries[0].Checks[1].Output == "back", "passing: %v", entries)
	entries, _, err = client.Health().Service("job", "", true,
		&api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: patience})
	must(err)
	expect(len(entries) == 0, "no heartbeat, and it is passing")
	checks, err := agent.Checks()
	must(err)
	expect(checks["service:job"].Output == "TTL expired (last output before timeout follows): back",
		"output: %q", checks["service:job"].Output)
	must(agent.FailTTL("service:job", "no"))
	expect(agent.PassTTL("service:other", "") != nil, "there is no such check")
}

func maintenance() {
	client := connect()
	agent := client.Agent()
	must(agent.ServiceRegister(registration("web")))
	must(agent.EnableServiceMaintenance("web", "a new disk"))
	checks, _, err := client.Health().Checks("web", nil)
	must(err)
	expect(checks.AggregatedStatus() == api.HealthMaint, "status: %s", checks.AggregatedStatus())
	must(agent.ServiceRegister(registration("web")))
	passing, _, err := client.Health().Service("web", "", true, nil)
	must(err)
	expect(len(passing) == 0, "in maintenance, and passing")
	must(agent.DisableServiceMaintenance("web"))
	passing, _, err = client.Health().Service("web", "", true, nil)
	must(err)
	expect(len(passing) == 1, "out of maintenance, and not passing")
}

func filters() {
	client := connect()
	agent := client.Agent()
	must(agent.ServiceRegister(registration("web-1")))
	other := registration("db-1")
	other.Name, other.Meta, other.Tags = "db", map[string]string{"zone": "us"}, nil
	must(agent.ServiceRegister(other))
	for filter, want := range map[string]string{
		`Service == web`:                  "web-1",
		`ID == "db-1"`:                    "db-1",
		`Meta.zone == eu`:                 "web-1",
		`"blue" in Tags`:                  "web-1",
		`Tags is empty`:                   "db-1",
		`Port == 8080 and Service != web`: "db-1",
	} {
		found, err := agent.ServicesWithFilter(filter)
		must(err)
		expect(len(found) == 1 && found[want] != nil, "%s: %v", filter, found)
	}
	must(agent.FailTTL("service:db-1", ""))
	for filter, want := range map[string]string{
		`Status == critical`:                         "service:db-1",
		`ServiceName == web and CheckID != ""`:       "service:web-1",
		`ServiceID == "db-1" or Status == "warning"`: "service:db-1",
		`not (Status == critical) and Type == ttl`:   "service:web-1",
		`"blue" in ServiceTags`:                      "service:web-1",
		`Name contains "web"`:                        "service:web-1",
	} {
		found, err := agent.ChecksWithFilter(filter)
		must(err)
		expect(len(found) == 1 && found[want] != nil, "%s: %v", filter, found)
	}
	_, err := agent.ServicesWithFilter("Meta.zone ==")
	expect(err != nil, "half a filter was taken")
	entries, _, err := client.Health().Service("web", "blue", true,
		&api.QueryOptions{Filter: `Service.Meta.zone == "eu"`})
	must(err)
	expect(len(entries) == 1, "entries: %v", entries)
	checks, _, err := client.Health().State(api.HealthAny,
		&api.QueryOptions{Filter: `ServiceName == db`})
	must(err)
	expect(len(checks) == 1 && checks[0].ServiceID == "db-1", "checks: %v", checks)
}

func agentHealth() {
	agent := connect().Agent()
	must(agent.ServiceRegister(registration("web-1")))
	second := registration("web-2")
	second.Check.Status = api.HealthWarning
	must(agent.ServiceRegister(second))
	status, info, err := agent.AgentHealthServiceByID("web-1")
	must(err)
	expect(status == api.HealthPassing && info.Service.ID == "web-1" && len(info.Checks) == 1,
		"web-1 is %s: %+v", status, info)
	status, infos, err := agent.AgentHealthServiceByName("web")
	must(err)
	expect(status == api.HealthWarning && len(infos) == 2, "web is %s: %v", status, infos)
	must(agent.FailTTL("service:web-2", ""))
	status, info, err = agent.AgentHealthServiceByID("web-2")
	must(err)
	expect(status == api.HealthCritical && info.AggregatedStatus == status, "web-2 is %s", status)
	status, info, err = agent.AgentHealthServiceByID("none")
	must(err)
	expect(status == api.HealthCritical && info == nil, "none is %s: %v", status, info)
	status, infos, err = agent.AgentHealthServiceByName("none")
	must(err)
	expect(status == api.HealthCritical && len(infos) == 0, "none is %s: %v", status, infos)
}
