// SPDX-License-Identifier: Apache-2.0

// Orders is the order service of the example shop: GraphQL over HTTP, its data
// in a SQLite file. One source makes every build; the linker sets the number:
//
//	go build -tags libsqlite3 -ldflags "-X main.build=3.15.0"
//
// The major number of the build is the contract it provides, and each contract
// has a schema of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Set by the linker. An unset build is 0.0.0, which provides no known contract
// and stops at once, so that a wrong build command is noticed.
var build = "0.0.0"

type options struct {
	id      string
	listen  string
	data    string
	sarsen  string
	gateway string
	ttl     time.Duration
}

func readOptions() options {
	var o options
	flag.StringVar(&o.id, "id", "orders-1", "name of this instance")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address to serve; port 0 takes a free one")
	flag.StringVar(&o.data, "data", "orders.db", "database file")
	flag.StringVar(&o.sarsen, "sarsen", "http://127.0.0.1:7000", "management API of Sarsen")
	flag.StringVar(&o.gateway, "gateway", "http://127.0.0.1:8001", "internal listener of the gateway")
	flag.DurationVar(&o.ttl, "ttl", 10*time.Second, "how long Sarsen waits for a heartbeat")
	flag.Parse()
	return o
}

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	log.SetPrefix("orders ")
	if err := run(readOptions()); err != nil {
		log.Fatal(err)
	}
}

func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	store, err := openStore(o.data)
	if err != nil {
		return fmt.Errorf("database %s: %w", o.data, err)
	}
	defer store.close()

	handler, err := newHandler(major(build), resolver{store: store, catalog: newCatalog(o.gateway)})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	instance := newInstance(o, listener.Addr().String())
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		instance.keep(ctx)
	}()
	log.Printf("build=%s instance=%s listening on %s", build, o.id, listener.Addr())

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	<-beating // a heartbeat after the deregistration would register again
	return leave(server, instance)
}

// leave goes in the order that loses no request: no new ones, finish those
// that are here, then the name.
func leave(server *http.Server, instance *instance) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	instance.drain(ctx)
	err := server.Shutdown(ctx)
	instance.deregister(ctx)
	return err
}

func major(version string) int {
	number, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	if err != nil {
		return 0
	}
	return number
}
