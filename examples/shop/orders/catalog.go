// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

type product struct {
	SKU        string `json:"sku"`
	Name       string `json:"name"`
	Material   string `json:"material"`
	PriceCents int32  `json:"priceCents"`
}

// catalog is the other service, reached through the gateway. No version
// appears here: the context that travels along decides it.
type catalog struct {
	base   string
	client *http.Client
}

func newCatalog(gateway string) *catalog {
	return &catalog{base: gateway + "/api/catalog", client: &http.Client{Timeout: 5 * time.Second}}
}

// lookups remembers the products of one request: a list of orders asks for
// each product once, however many resolvers run at the same time.
type lookups struct {
	mutex sync.Mutex
	bySKU map[string]*lookup
}

type lookup struct {
	once    sync.Once
	product product
	err     error
}

func (c *catalog) product(ctx context.Context, sku string) (product, error) {
	travel := travelFrom(ctx)
	travel.lookups.mutex.Lock()
	found := travel.lookups.bySKU[sku]
	if found == nil {
		found = &lookup{}
		travel.lookups.bySKU[sku] = found
	}
	travel.lookups.mutex.Unlock()
	found.once.Do(func() { found.product, found.err = c.fetch(ctx, sku) })
	return found.product, found.err
}

func (c *catalog) fetch(ctx context.Context, sku string) (product, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		c.base+"/products/"+url.PathEscape(sku), nil)
	if err != nil {
		return product{}, err
	}
	travelFrom(ctx).copyTo(request.Header)
	response, err := c.client.Do(request)
	if err != nil {
		return product{}, fmt.Errorf("catalog: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return product{}, fmt.Errorf("catalog answered %s for %s", response.Status, sku)
	}
	var p product
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
		return product{}, fmt.Errorf("catalog: %w", err)
	}
	return p, nil
}
