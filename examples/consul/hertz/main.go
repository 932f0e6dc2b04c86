// SPDX-License-Identifier: Apache-2.0

// A Hertz service that registers with Consul by hertz-contrib/registry, as it is by default: it is
// checked by a TCP connection each five seconds.
//
//	VERSION=1.0.0 ADDRESS=127.0.0.1:8888 hertz           serves
//	hertz call NAME SERVICE...                           finds services by its resolver, calls them
//
// Where Consul is, CONSUL_HTTP_ADDR says; 127.0.0.1:8500 else.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/cloudwego/hertz/pkg/app"
	"github.com/cloudwego/hertz/pkg/app/client"
	"github.com/cloudwego/hertz/pkg/app/middlewares/client/sd"
	"github.com/cloudwego/hertz/pkg/app/server"
	"github.com/cloudwego/hertz/pkg/app/server/registry"
	"github.com/cloudwego/hertz/pkg/common/config"
	"github.com/cloudwego/hertz/pkg/common/utils"
	"github.com/cloudwego/hertz/pkg/protocol/consts"
	"github.com/hashicorp/consul/api"
	"github.com/hertz-contrib/registry/consul"
)

const service = "hertz.greeter"

type reply struct {
	Message string `json:"message"`
	Version string `json:"version"`
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func serve(connection *api.Client) {
	address, version := os.Getenv("ADDRESS"), os.Getenv("VERSION")
	made := server.Default(server.WithHostPorts(address),
		server.WithRegistry(consul.NewConsulRegister(connection), &registry.Info{
			ServiceName: service, Addr: utils.NewNetAddr("tcp", address), Weight: 10,
			Tags: map[string]string{"version": version}}))
	made.GET("/hello/:name", func(_ context.Context, request *app.RequestContext) {
		request.JSON(consts.StatusOK, reply{"hello " + request.Param("name"), version})
	})
	made.Spin()
}

func call(connection *api.Client, name string, services []string) {
	made, err := client.NewClient()
	must(err)
	made.Use(sd.Discovery(consul.NewConsulResolver(connection)))
	for _, service := range services {
		_, body, err := made.Get(context.Background(), nil, "http://"+service+"/hello/"+name,
			config.WithSD(true))
		must(err)
		var said reply
		must(json.Unmarshal(body, &said))
		fmt.Println(said.Message, said.Version)
	}
}

func main() {
	connection, err := api.NewClient(api.DefaultConfig())
	must(err)
	if len(os.Args) == 1 {
		serve(connection)
	} else {
		call(connection, os.Args[2], os.Args[3:])
	}
}
