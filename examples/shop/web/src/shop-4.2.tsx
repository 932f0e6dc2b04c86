// SPDX-License-Identifier: Apache-2.0

// Release 4.2: the contract orders@3 brings the product, from the catalog.

import { start } from "./page";

interface Data {
  build: string;
  orders: {
    id: string;
    placedAt: string;
    quantity: number;
    product: { name: string; material: string };
    total: { amount: string; currency: string };
  }[];
}

function Orders({ data }: { data: Data }) {
  return (
    <ul id="orders" data-build={data.build}>
      {data.orders.map((order) => (
        <li key={order.id}>
          <h2>
            {order.quantity} × {order.product.name}
          </h2>
          <p>
            {order.product.material} · order {order.id} of {order.placedAt.slice(0, 10)}
          </p>
          <p className="total">
            {order.total.amount} {order.total.currency}
          </p>
        </li>
      ))}
    </ul>
  );
}

document.documentElement.dataset.theme = "cards";

start<Data>({
  tagline: "Now with the stones' names.",
  query: `query Orders {
    build
    orders { id placedAt quantity product { name material } total { amount currency } }
  }`,
  Orders,
});
