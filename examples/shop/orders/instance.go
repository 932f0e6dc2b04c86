// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"
)

// instance is this process in Sarsen's registry. Four calls are the whole
// protocol: register, heartbeat, drain, deregister.
type instance struct {
	url    string
	body   []byte
	ttl    time.Duration
	client *http.Client
}

func newInstance(o options, address string) *instance {
	body, err := json.Marshal(map[string]any{
		"build":    build,
		"provides": []string{fmt.Sprintf("orders@%d", major(build))},
		"address":  address,
		"protocol": "http",
		"ttl":      o.ttl.String(),
		"meta":     map[string]string{"language": "go"},
	})
	if err != nil {
		panic(err) // strings and maps of strings always encode
	}
	return &instance{
		url:    o.sarsen + "/v1/services/orders/instances/" + o.id,
		body:   body,
		ttl:    o.ttl,
		client: &http.Client{Timeout: 2 * time.Second},
	}
}

// keep registers and then beats at a third of the TTL until ctx ends, so that
// two lost heartbeats in a row are not yet an absence. A 404 means that the
// registry does not know us (any more): register again.
func (i *instance) keep(ctx context.Context) {
	registered := false
	for {
		status := 0
		if registered {
			status = i.call(ctx, http.MethodPost, ":heartbeat", nil)
			registered = status != http.StatusNotFound
		}
		if !registered {
			status = i.call(ctx, http.MethodPut, "", i.body)
			registered = status == http.StatusOK || status == http.StatusCreated
			log.Printf("registration of %s: status %d", i.url, status)
		}
		pause := i.ttl / 3
		if !registered {
			pause = 200 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (i *instance) drain(ctx context.Context) { i.call(ctx, http.MethodPost, ":drain", nil) }

func (i *instance) deregister(ctx context.Context) { i.call(ctx, http.MethodDelete, "", nil) }

// call returns the status of the answer, 0 when there was none.
func (i *instance) call(ctx context.Context, method, verb string, body []byte) int {
	request, err := http.NewRequestWithContext(ctx, method, i.url+verb, bytes.NewReader(body))
	if err != nil {
		log.Print(err)
		return 0
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := i.client.Do(request)
	if err != nil {
		if ctx.Err() == nil {
			log.Print(err)
		}
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // a read body lets the connection be kept
	return response.StatusCode
}
