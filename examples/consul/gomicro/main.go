// SPDX-License-Identifier: Apache-2.0

// A go-micro service with the gRPC server. It says nothing of Consul: its environment does, with
// MICRO_REGISTRY=consul and MICRO_REGISTRY_ADDRESS.
//
//	MICRO_SERVER_VERSION=1.0.0 gomicro           serves
//	GREET=NAME gomicro                           finds it by its registry and calls it
//	FIND="SERVICE SERVICE" gomicro               prints where its registry finds services
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"go-micro.dev/v5"
	"go-micro.dev/v5/client"
	grpcclient "go-micro.dev/v5/client/grpc"
	"go-micro.dev/v5/registry"
	grpcserver "go-micro.dev/v5/server/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "gomicro-greeter"

// Greeter is what is served.
type Greeter struct{ version func() string }

// Hello greets.
func (greeter *Greeter) Hello(_ context.Context, name, reply *wrapperspb.StringValue) error {
	reply.Value = fmt.Sprintf("hello %s %s", name.Value, greeter.version())
	return nil
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func call(made micro.Service, name string) {
	var found []*registry.Service
	found, err := made.Options().Registry.GetService(service)
	must(err)
	var reply wrapperspb.StringValue
	request := made.Client().NewRequest(service, "Greeter.Hello", wrapperspb.String(name),
		client.WithContentType("application/grpc+proto"))
	must(made.Client().Call(context.Background(), request, &reply))
	fmt.Println(reply.Value, len(found), found[0].Version)
}

func find(made micro.Service, services []string) {
	for _, service := range services {
		found, err := made.Options().Registry.GetService(service)
		must(err)
		for _, version := range found {
			for _, node := range version.Nodes {
				fmt.Println(service, node.Address)
			}
		}
	}
}

func main() {
	made := micro.NewService(micro.Server(grpcserver.NewServer()),
		micro.Client(grpcclient.NewClient()), micro.Name(service))
	made.Init()
	if name := os.Getenv("GREET"); name != "" {
		call(made, name)
		return
	}
	if services := strings.Fields(os.Getenv("FIND")); len(services) > 0 {
		find(made, services)
		return
	}
	must(made.Handle(&Greeter{func() string { return made.Server().Options().Version }}))
	must(made.Run())
}
