// SPDX-License-Identifier: Apache-2.0

// A Kratos service with HTTP and gRPC that registers with Consul, health checks and heartbeat on,
// and takes what it greets with from Consul's KV store, changes included.
//
//	VERSION=1.0.0 kratos           serves
//	kratos call NAME               finds it by Kratos' discovery and calls it, by HTTP and by gRPC
//
// Where Consul is, CONSUL_HTTP_ADDR says; 127.0.0.1:8500 else.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	configconsul "github.com/go-kratos/kratos/contrib/config/consul/v2"
	"github.com/go-kratos/kratos/contrib/registry/consul/v2"
	"github.com/go-kratos/kratos/v2"
	"github.com/go-kratos/kratos/v2/config"
	"github.com/go-kratos/kratos/v2/transport/grpc"
	"github.com/go-kratos/kratos/v2/transport/http"
	"github.com/hashicorp/consul/api"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const service = "kratos-greeter"

type reply struct {
	Message string `json:"message"`
	Version string `json:"version"`
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// watchGreeting keeps what the key "greeting" of the service's file says.
func watchGreeting(client *api.Client) *atomic.Value {
	source, err := configconsul.New(client, configconsul.WithPath("configs/"+service+"/"))
	must(err)
	settings := config.New(config.WithSource(source))
	must(settings.Load())
	var greeting atomic.Value
	text, err := settings.Value("greeting").String()
	must(err)
	greeting.Store(text)
	must(settings.Watch("greeting", func(_ string, value config.Value) {
		if text, err := value.String(); err == nil {
			greeting.Store(text)
		}
	}))
	return &greeting
}

func serve(client *api.Client, registry *consul.Registry) {
	version := os.Getenv("VERSION")
	greeting := watchGreeting(client)
	byHTTP := http.NewServer(http.Address("127.0.0.1:0"))
	byHTTP.Route("/").GET("/hello/{name}", func(ctx http.Context) error {
		return ctx.JSON(200, reply{fmt.Sprintf("%s %s", greeting.Load(), ctx.Vars().Get("name")),
			version})
	})
	app := kratos.New(kratos.Name(service), kratos.Version(version),
		kratos.Server(byHTTP, grpc.NewServer(grpc.Address("127.0.0.1:0"))),
		kratos.Registrar(registry))
	must(app.Run())
}

func call(registry *consul.Registry, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	byHTTP, err := http.NewClient(ctx, http.WithEndpoint("discovery:///"+service),
		http.WithDiscovery(registry), http.WithBlock(), http.WithTimeout(5*time.Second))
	must(err)
	var said reply
	must(byHTTP.Invoke(ctx, "GET", "/hello/"+name, nil, &said))
	byGRPC, err := grpc.DialInsecure(ctx, grpc.WithEndpoint("discovery:///"+service),
		grpc.WithDiscovery(registry), grpc.WithTimeout(5*time.Second))
	must(err)
	health, err := grpc_health_v1.NewHealthClient(byGRPC).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{})
	must(err)
	fmt.Println(said.Message, said.Version, health.Status)
}

func main() {
	client, err := api.NewClient(api.DefaultConfig())
	must(err)
	registry := consul.New(client, consul.WithHealthCheck(true), consul.WithHeartbeat(true))
	if len(os.Args) == 3 {
		call(registry, os.Args[2])
	} else {
		serve(client, registry)
	}
}
