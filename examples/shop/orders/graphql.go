// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/graph-gophers/graphql-go"
)

const maxQuantity = 1000

// The contracts. What changed in orders@3: an order shows its product instead
// of a bare SKU, and its total is an amount with a currency.
var schemas = map[int]string{
	2: `
		type Query { build: String! orders: [Order!]! }
		type Order { id: ID! sku: String! quantity: Int! totalCents: Int! }`,
	3: `
		type Query { build: String! orders: [Order!]! }
		type Order { id: ID! placedAt: String! quantity: Int! product: Product! total: Money! }
		type Product { sku: String! name: String! material: String! }
		type Money { amount: String! currency: String! }`,
}

const mutations = `
		type Mutation { placeOrder(sku: String!, quantity: Int!): Order! }`

// parseSchema makes the schema of a contract, or its half that only reads.
func parseSchema(contract int, root resolver, readOnly bool) (*graphql.Schema, error) {
	text, found := schemas[contract]
	if !found {
		return nil, fmt.Errorf("build %s: there is no schema of contract orders@%d", build, contract)
	}
	if !readOnly {
		text += mutations
	}
	return graphql.ParseSchema(text, &root, graphql.MaxDepth(8), graphql.MaxParallelism(8))
}

type resolver struct {
	store   *store
	catalog *catalog
}

// Build is the proof of which build answered.
func (r *resolver) Build() string { return build }

func (r *resolver) Orders(ctx context.Context) ([]*orderResolver, error) {
	orders, err := r.store.list(ctx, travelFrom(ctx).customer())
	if err != nil {
		return nil, err
	}
	resolvers := make([]*orderResolver, len(orders))
	for i, o := range orders {
		resolvers[i] = &orderResolver{order: o, catalog: r.catalog}
	}
	return resolvers, nil
}

func (r *resolver) PlaceOrder(ctx context.Context, args struct {
	SKU      string
	Quantity int32
}) (*orderResolver, error) {
	customer := travelFrom(ctx).customer()
	if customer == "" || strings.HasPrefix(customer, "~") { // "~" and a device: nobody yet
		return nil, errors.New("log in to place an order")
	}
	if args.Quantity < 1 || args.Quantity > maxQuantity {
		return nil, fmt.Errorf("quantity is %d, accepted is 1 to %d", args.Quantity, maxQuantity)
	}
	if _, err := r.catalog.product(ctx, args.SKU); err != nil {
		return nil, err
	}
	o, err := r.store.add(ctx, customer, args.SKU, args.Quantity)
	if err != nil {
		return nil, err
	}
	return &orderResolver{order: o, catalog: r.catalog}, nil
}

// orderResolver has the fields of both contracts; a schema shows its own.
type orderResolver struct {
	order   order
	catalog *catalog
}

func (o *orderResolver) ID() graphql.ID   { return graphql.ID(strconv.FormatInt(o.order.id, 10)) }
func (o *orderResolver) SKU() string      { return o.order.sku }
func (o *orderResolver) Quantity() int32  { return o.order.quantity }
func (o *orderResolver) PlacedAt() string { return o.order.placedAt }

func (o *orderResolver) TotalCents(ctx context.Context) (int32, error) {
	p, err := o.catalog.product(ctx, o.order.sku)
	return p.PriceCents * o.order.quantity, err
}

func (o *orderResolver) Product(ctx context.Context) (*productResolver, error) {
	p, err := o.catalog.product(ctx, o.order.sku)
	if err != nil {
		return nil, err
	}
	return &productResolver{p}, nil
}

func (o *orderResolver) Total(ctx context.Context) (*moneyResolver, error) {
	cents, err := o.TotalCents(ctx)
	if err != nil {
		return nil, err
	}
	return &moneyResolver{cents: cents}, nil
}

type productResolver struct{ product product }

func (p *productResolver) SKU() string      { return p.product.SKU }
func (p *productResolver) Name() string     { return p.product.Name }
func (p *productResolver) Material() string { return p.product.Material }

type moneyResolver struct{ cents int32 }

func (m *moneyResolver) Amount() string   { return fmt.Sprintf("%d.%02d", m.cents/100, m.cents%100) }
func (m *moneyResolver) Currency() string { return "EUR" }
