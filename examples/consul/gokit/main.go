// SPDX-License-Identifier: Apache-2.0

// A go-kit service that registers with Consul by sd/consul, and asks to be checked by HTTP.
//
//	VERSION=1.0.0 gokit           serves
//	gokit call NAME SERVICE...    finds services by go-kit's instancer and calls them
//
// Where Consul is, CONSUL_HTTP_ADDR says; 127.0.0.1:8500 else.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd"
	sdconsul "github.com/go-kit/kit/sd/consul"
	"github.com/go-kit/kit/sd/lb"
	httptransport "github.com/go-kit/kit/transport/http"
	kitlog "github.com/go-kit/log"
	"github.com/hashicorp/consul/api"
)

const service = "gokit-greeter"

// tags are what a service is asked for with.
var tags = map[string][]string{service: {"http"}}

type greeting struct {
	Message string `json:"message"`
	Version string `json:"version"`
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func decode(_ context.Context, request *http.Request) (any, error) {
	return request.PathValue("name"), nil
}

func serve(client sdconsul.Client, logger kitlog.Logger) {
	version := os.Getenv("VERSION")
	greet := func(_ context.Context, name any) (any, error) {
		return greeting{fmt.Sprintf("hello %s", name), version}, nil
	}
	routes := http.NewServeMux()
	routes.Handle("GET /hello/{name}", httptransport.NewServer(greet, decode,
		httptransport.EncodeJSONResponse))
	routes.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	address := listener.Addr().(*net.TCPAddr)
	registrar := sdconsul.NewRegistrar(client, &api.AgentServiceRegistration{
		ID: fmt.Sprintf("%s-%d", service, address.Port), Name: service,
		Address: address.IP.String(), Port: address.Port,
		Tags: tags[service], Meta: map[string]string{"version": version},
		Check: &api.AgentServiceCheck{HTTP: fmt.Sprintf("http://%s/health", address),
			Interval: "1s", Timeout: "1s"},
	}, logger)
	registrar.Register()
	defer registrar.Deregister()
	go func() { must(http.Serve(listener, routes)) }()
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	<-end
}

func endpointOf(instance string) (endpoint.Endpoint, io.Closer, error) {
	target := &url.URL{Scheme: "http", Host: instance}
	encode := func(_ context.Context, request *http.Request, name any) error {
		request.URL.Path = fmt.Sprintf("/hello/%s", name)
		return nil
	}
	return httptransport.NewClient("GET", target, encode, decodeGreeting).Endpoint(), nil, nil
}

func decodeGreeting(_ context.Context, response *http.Response) (any, error) {
	var said greeting
	err := json.NewDecoder(response.Body).Decode(&said)
	return said, err
}

func call(client sdconsul.Client, logger kitlog.Logger, name, service string) {
	instancer := sdconsul.NewInstancer(client, logger, service, tags[service], true)
	defer instancer.Stop()
	endpointer := sd.NewEndpointer(instancer, endpointOf, logger)
	balanced := lb.Retry(3, 10*time.Second, lb.NewRoundRobin(endpointer))
	said, err := balanced(context.Background(), name)
	must(err)
	fmt.Println(said.(greeting).Message, said.(greeting).Version)
}

func main() {
	connection, err := api.NewClient(api.DefaultConfig())
	must(err)
	client, logger := sdconsul.NewClient(connection), kitlog.NewLogfmtLogger(os.Stderr)
	if len(os.Args) == 1 {
		serve(client, logger)
		return
	}
	for _, service := range os.Args[3:] {
		call(client, logger, os.Args[2], service)
	}
}
