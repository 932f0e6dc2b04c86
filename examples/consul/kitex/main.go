// SPDX-License-Identifier: Apache-2.0

// A Kitex service that speaks Thrift and registers with Consul by kitex-contrib/registry-consul.
// Its tags say its version, and with PROTOCOL=thrift what it speaks: nothing else of a registration
// of Kitex does.
//
//	VERSION=1.0.0 ADDRESS=127.0.0.1:8888 kitex           serves
//	kitex find SERVICE...                                prints where its resolver finds services
//
// Where Consul is, CONSUL_HTTP_ADDR says; 127.0.0.1:8500 else.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/cloudwego/kitex/pkg/generic"
	"github.com/cloudwego/kitex/pkg/registry"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/server"
	"github.com/cloudwego/kitex/server/genericserver"
	consul "github.com/kitex-contrib/registry-consul"
)

const service = "kitex-greeter"

// greeter answers with what it was sent.
type greeter struct{}

func (*greeter) GenericCall(_ context.Context, _ string, request any) (any, error) {
	return request, nil
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// tags say nothing of the protocol where PROTOCOL is empty: a rule of the operator has to, then.
func tags() map[string]string {
	said := map[string]string{"version": os.Getenv("VERSION")}
	if protocol := os.Getenv("PROTOCOL"); protocol != "" {
		said["protocol"] = protocol
	}
	return said
}

func serve(at string) {
	address, err := net.ResolveTCPAddr("tcp", os.Getenv("ADDRESS"))
	must(err)
	register, err := consul.NewConsulRegister(at)
	must(err)
	made := genericserver.NewServer(&greeter{}, generic.BinaryThriftGeneric(),
		server.WithServiceAddr(address), server.WithRegistry(register),
		server.WithServerBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: service}),
		server.WithRegistryInfo(&registry.Info{ServiceName: service, Weight: 10,
			Tags: tags()}))
	must(made.Run())
}

func find(at string, services []string) {
	resolver, err := consul.NewConsulResolver(at)
	must(err)
	for _, service := range services {
		found, err := resolver.Resolve(context.Background(), service)
		must(err)
		for _, instance := range found.Instances {
			fmt.Println(service, instance.Address(), instance.Weight())
		}
	}
}

func main() {
	at := os.Getenv("CONSUL_HTTP_ADDR")
	if at == "" {
		at = "127.0.0.1:8500"
	}
	if len(os.Args) == 1 {
		serve(at)
	} else {
		find(at, os.Args[2:])
	}
}
