// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// travel is what a request carries from hop to hop. Copying the two headers is
// all that a service does for Sarsen while it works.
type travel struct {
	baggage     string
	traceparent string
	lookups     lookups
}

type travelKey struct{}

func withTravel(request *http.Request) (context.Context, *travel) {
	t := &travel{
		// Lists may be split over several header lines; joined they mean the same.
		baggage:     strings.Join(request.Header.Values("baggage"), ","),
		traceparent: request.Header.Get("traceparent"),
		lookups:     lookups{bySKU: map[string]*lookup{}},
	}
	return context.WithValue(request.Context(), travelKey{}, t), t
}

func travelFrom(ctx context.Context) *travel {
	return ctx.Value(travelKey{}).(*travel)
}

func (t *travel) copyTo(header http.Header) {
	if t.baggage != "" {
		header.Set("baggage", t.baggage)
	}
	if t.traceparent != "" {
		header.Set("traceparent", t.traceparent)
	}
}

// member returns one value of the baggage, "" when it is not there.
func (t *travel) member(name string) string {
	for _, member := range strings.Split(t.baggage, ",") {
		pair, _, _ := strings.Cut(member, ";") // properties follow the pair
		key, value, found := strings.Cut(pair, "=")
		if !found || strings.TrimSpace(key) != name {
			continue
		}
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil {
			return ""
		}
		return plain
	}
	return ""
}

func (t *travel) bom() string      { return t.member("sarsen.bom") }
func (t *travel) customer() string { return t.member("sarsen.customer") }
