module sarsen.example/shop/orders

go 1.19

require (
	github.com/graph-gophers/graphql-go v1.5.0
	github.com/mattn/go-sqlite3 v1.14.22
)
