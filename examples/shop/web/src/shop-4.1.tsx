// SPDX-License-Identifier: Apache-2.0

// Release 4.1: the contract orders@2 knows article numbers and cents.

import { start } from "./page";

interface Data {
  build: string;
  orders: { id: string; sku: string; quantity: number; totalCents: number }[];
}

function Orders({ data }: { data: Data }) {
  return (
    <table id="orders" data-build={data.build}>
      <thead>
        <tr>
          <th>Order</th>
          <th>Article number</th>
          <th>Quantity</th>
          <th>Total</th>
        </tr>
      </thead>
      <tbody>
        {data.orders.map((order) => (
          <tr key={order.id}>
            <td>{order.id}</td>
            <td>{order.sku}</td>
            <td>{order.quantity}</td>
            <td>{(order.totalCents / 100).toFixed(2)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

document.documentElement.dataset.theme = "classic";

start<Data>({
  tagline: "Orders by article number.",
  query: "query Orders { build orders { id sku quantity totalCents } }",
  Orders,
});
