// SPDX-License-Identifier: Apache-2.0

// A Kratos service with HTTP and gRPC that registers with Consul, health checks and heartbeat on,
// and takes what it greets with from Consul's KV store, changes included.
//
//	VERSION=1.0.0 kratos           serves; with ONLY=grpc without HTTP
//	kratos call NAME SERVICE...    finds services by Kratos' discovery and calls them by HTTP
//	kratos health                  the same of this service's health, by gRPC
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
	"github.com/go-kratos/kratos/v2/transport"
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
	servers := []transport.Server{byHTTP, grpc.NewServer(grpc.Address("127.0.0.1:0"))}
	if os.Getenv("ONLY") == "grpc" {
		servers = servers[1:]
	}
	app := kratos.New(kratos.Name(service), kratos.Version(version), kratos.Server(servers...),
		kratos.Registrar(registry))
	must(app.Run())
}

func call(ctx context.Context, registry *consul.Registry, name, service string) {
	client, err := http.NewClient(ctx, http.WithEndpoint("discovery:///"+service),
		http.WithDiscovery(registry), http.WithBlock(), http.WithTimeout(5*time.Second))
	must(err)
	var said reply
	must(client.Invoke(ctx, "GET", "/hello/"+name, nil, &said))
	fmt.Println(said.Message, said.Version)
}

func health(ctx context.Context, registry *consul.Registry) {
	connection, err := grpc.DialInsecure(ctx, grpc.WithEndpoint("discovery:///"+service),
		grpc.WithDiscovery(registry), grpc.WithTimeout(5*time.Second))
	must(err)
	said, err := grpc_health_v1.NewHealthClient(connection).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{})
	must(err)
	fmt.Println(said.Status)
}

func main() {
	client, err := api.NewClient(api.DefaultConfig())
	must(err)
	registry := consul.New(client, consul.WithHealthCheck(true), consul.WithHeartbeat(true))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	switch {
	case len(os.Args) == 1:
		serve(client, registry)
	case os.Args[1] == "health":
		health(ctx, registry)
	default:
		for _, service := range os.Args[3:] {
			call(ctx, registry, os.Args[2], service)
		}
	}
}
