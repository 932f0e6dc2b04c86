// SPDX-License-Identifier: Apache-2.0

// A gRPC server for the tests: the gRPC project's own interop service, with reflection and
// health, on a unix socket and on a loopback port, whose address it prints.
//
//	service [-certificate FILE -key FILE] SOCKET
//
// It ends when its standard input does.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

func serve(server *grpc.Server, network, address string) net.Addr {
	listener, err := net.Listen(network, address)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Fatal(err)
		}
	}()
	return listener.Addr()
}

func main() {
	certificate := flag.String("certificate", "", "speak TLS with this certificate")
	key := flag.String("key", "", "and this key")
	flag.Parse()

	var options []grpc.ServerOption
	if *certificate != "" {
		pair, err := credentials.NewServerTLSFromFile(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(pair))
	}
	server := grpc.NewServer(options...)
	grpc_testing.RegisterTestServiceServer(server, interop.NewTestServer())
	healthy := health.NewServer()
	healthy.SetServingStatus("grpc.testing.TestService", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, healthy)
	reflection.Register(server)

	serve(server, "unix", flag.Arg(0))
	fmt.Println(serve(server, "tcp", "127.0.0.1:0"))
	_, _ = io.Copy(io.Discard, os.Stdin)
}
