// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"time"

	_ "github.com/mattn/go-sqlite3" // registers the driver
)

type order struct {
	id       int64
	sku      string
	quantity int32
	placedAt string
}

type store struct{ db *sql.DB }

// All builds and instances share the file. INSERT OR IGNORE makes the first
// one that starts fill it and leaves the others' work alone.
const setup = `
CREATE TABLE IF NOT EXISTS orders (
	id INTEGER PRIMARY KEY,
	customer TEXT NOT NULL,
	sku TEXT NOT NULL,
	quantity INTEGER NOT NULL CHECK (quantity > 0),
	placed_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS orders_customer ON orders (customer, id);
INSERT OR IGNORE INTO orders VALUES
	(1001, 'acme',    'S-100', 2, '2026-09-01T08:30:00Z'),
	(1002, 'acme',    'S-300', 1, '2026-09-14T16:05:00Z'),
	(1003, 'globex',  'S-200', 5, '2026-09-03T11:45:00Z'),
	(1004, 'globex',  'S-100', 1, '2026-09-20T09:10:00Z'),
	(1005, 'initech', 'S-300', 3, '2026-09-22T13:00:00Z');`

func openStore(path string) (*store, error) {
	// WAL and the wait let several processes use the file at once. The lock is
	// taken at BEGIN because a transaction that upgrades cannot wait.
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_busy_timeout=5000&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec(setup); err != nil {
		db.Close()
		return nil, err
	}
	return &store{db: db}, nil
}

func (s *store) close() { s.db.Close() }

func (s *store) list(ctx context.Context, customer string) ([]order, error) {
	rows, err := s.db.QueryContext(ctx,
		`SELECT id, sku, quantity, placed_at FROM orders WHERE customer = ? ORDER BY id`, customer)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var orders []order
	for rows.Next() {
		var o order
		if err := rows.Scan(&o.id, &o.sku, &o.quantity, &o.placedAt); err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, rows.Err()
}

func (s *store) add(ctx context.Context, customer, sku string, quantity int32) (order, error) {
	o := order{sku: sku, quantity: quantity, placedAt: time.Now().UTC().Format(time.RFC3339)}
	result, err := s.db.ExecContext(ctx,
		`INSERT INTO orders (customer, sku, quantity, placed_at) VALUES (?, ?, ?, ?)`,
		customer, o.sku, o.quantity, o.placedAt)
	if err != nil {
		return order{}, err
	}
	o.id, err = result.LastInsertId()
	return o, err
}
