// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/graph-gophers/graphql-go"
)

const maxBodyBytes = 1 << 20

type question struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

// handler knows a schema per method: a GET finds no mutations, because a link
// on a foreign page makes browsers send one, cookie and all.
type handler struct{ schemas map[string]*graphql.Schema }

func newHandler(contract int, root resolver) (http.Handler, error) {
	whole, err := parseSchema(contract, root, false)
	if err != nil {
		return nil, err
	}
	reading, err := parseSchema(contract, root, true)
	if err != nil {
		return nil, err
	}
	routes := http.NewServeMux()
	routes.Handle("/graphql", &handler{schemas: map[string]*graphql.Schema{
		http.MethodGet:  reading,
		http.MethodPost: whole,
	}})
	return routes, nil
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	ctx, travel := withTravel(r)
	status := http.StatusOK
	q, err := readQuestion(w, r)
	if err != nil {
		status = http.StatusBadRequest
		reply(w, status, map[string]any{"errors": []any{map[string]string{"message": err.Error()}}})
	} else {
		reply(w, status, h.schemas[r.Method].Exec(ctx, q.Query, q.OperationName, q.Variables))
	}
	// %q because customer and trace come from outside: a log line stays one line.
	log.Printf("build=%s %s %s status=%d ms=%.1f bom=%q customer=%q trace=%q", build, r.Method,
		r.URL.Path, status, float64(time.Since(begin).Microseconds())/1000, travel.bom(),
		travel.customer(), travel.traceparent)
}

// readQuestion takes GraphQL over HTTP in its two common forms: a JSON body,
// or the query string of a GET.
func readQuestion(w http.ResponseWriter, r *http.Request) (question, error) {
	var q question
	switch r.Method {
	case http.MethodGet:
		q.Query = r.URL.Query().Get("query")
		q.OperationName = r.URL.Query().Get("operationName")
	case http.MethodPost:
		body := http.MaxBytesReader(w, r.Body, maxBodyBytes)
		if err := json.NewDecoder(body).Decode(&q); err != nil {
			return q, fmt.Errorf("the body is not a GraphQL request: %w", err)
		}
	default:
		return q, fmt.Errorf("method %s, accepted are GET and POST", r.Method)
	}
	if q.Query == "" {
		return q, errors.New("there is no query")
	}
	return q, nil
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("answer not sent: %v", err)
	}
}
