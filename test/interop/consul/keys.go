// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/hashicorp/consul/api"
)

func cas() {
	kv := connect().KV()
	put := func(index uint64, value string) bool {
		done, _, err := kv.CAS(&api.KVPair{Key: "count", Value: []byte(value), Flags: 7,
			ModifyIndex: index}, nil)
		must(err)
		return done
	}
	expect(put(0, "1"), "it is new, and was not made")
	expect(!put(0, "2"), "it is there, and was made")
	pair, _, err := kv.Get("count", nil)
	must(err)
	expect(string(pair.Value) == "1" && pair.Flags == 7, "the key: %+v", pair)
	expect(put(pair.ModifyIndex, "2"), "it was as seen, and was not changed")
	expect(!put(pair.ModifyIndex, "3"), "it was changed since, and was changed")
	done, _, err := kv.DeleteCAS(pair, nil)
	must(err)
	expect(!done, "it was changed since, and was deleted")
	pair, _, err = kv.Get("count", nil)
	must(err)
	done, _, err = kv.DeleteCAS(pair, nil)
	must(err)
	expect(done, "it was as seen, and was not deleted")
}

func keys() {
	kv := connect().KV()
	for _, key := range []string{"app/a b", "app/c/d.json", "app/c/e%2f", "app/ü"} {
		_, err := kv.Put(&api.KVPair{Key: key, Value: []byte(key)}, nil)
		must(err)
		pair, _, err := kv.Get(key, nil)
		must(err)
		expect(pair != nil && string(pair.Value) == key && pair.Key == key, "%q: %+v", key, pair)
	}
	found, _, err := kv.Keys("app/", "/", nil)
	must(err)
	expect(strings.Join(found, ",") == "app/a b,app/c/,app/ü", "keys: %q", found)
	pairs, _, err := kv.List("app/c", nil)
	must(err)
	expect(len(pairs) == 2 && pairs[0].Key == "app/c/d.json", "list: %v", pairs)
	_, err = kv.DeleteTree("app/", nil)
	must(err)
	pairs, meta, err := kv.List("app/", nil)
	must(err)
	expect(len(pairs) == 0 && meta.LastIndex > 0 && meta.KnownLeader, "left: %v, %+v", pairs, meta)
}
