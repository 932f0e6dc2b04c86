// SPDX-License-Identifier: Apache-2.0

import { StrictMode, useCallback, useEffect, useState } from "react";
import type { ComponentType, FormEvent } from "react";
import { createRoot } from "react-dom/client";
import { logIn, logOut, query, whoAmI } from "./api";
import type { Answer, Versions } from "./api";
import "./page.css";

/** How a release shows its orders: the query of its contract, and a table of the result. */
export interface Shop<T> {
  tagline: string;
  query: string;
  Orders: ComponentType<{ data: T }>;
}

interface PlaceOrder {
  placeOrder: { id: string };
}

const place = `mutation Place($sku: String!) { placeOrder(sku: $sku, quantity: 1) { id } }`;

// A reload is a safe point to change release: the gateway chooses again.
function reload() {
  window.location.reload();
}

function LogInForm({ onError }: { onError: (error: Error) => void }) {
  const [name, setName] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    logIn(name).then(reload, onError);
  };
  return (
    <form id="login" onSubmit={submit}>
      <label>
        Customer{" "}
        <input
          id="customer-name"
          value={name}
          onChange={(event) => setName(event.target.value)}
          placeholder="acme, globex, initech …"
          required
        />
      </label>
      <button type="submit">Log in</button>
    </form>
  );
}

function Facts({ versions }: { versions: Versions }) {
  const rows = [
    ["release", `shop ${__RELEASE__}`],
    ["contract", versions.contract],
    ["build", versions.build],
    ["bom", versions.bom],
  ] as const;
  return (
    <dl id="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd id={`fact-${name}`}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Page<T>({ shop }: { shop: Shop<T> }) {
  const [customer, setCustomer] = useState<string>();
  const [answer, setAnswer] = useState<Answer<T>>();
  const [error, setError] = useState<Error>();

  const load = useCallback(() => query<T>(shop.query).then(setAnswer, setError), [shop]);
  useEffect(() => {
    whoAmI().then(setCustomer, setError);
    void load();
  }, [load]);

  const order = (sku: string) => query<PlaceOrder>(place, { sku }).then(load, setError);
  return (
    <main data-release={__RELEASE__} data-ready={customer !== undefined && answer !== undefined}>
      <header>
        <h1>
          The stone shop <small>{__RELEASE__}</small>
        </h1>
        <p>{shop.tagline}</p>
      </header>
      {error && (
        <p id="error" role="alert">
          {error.message}
        </p>
      )}
      {customer === "" && <LogInForm onError={setError} />}
      {customer && (
        <p>
          You are <strong id="customer">{customer}</strong>{" "}
          <button id="logout" onClick={() => logOut().then(reload, setError)}>
            Log out
          </button>
        </p>
      )}
      {answer && <shop.Orders data={answer.data} />}
      {customer && (
        <button id="order" onClick={() => void order("S-100")}>
          Order a sarsen block
        </button>
      )}
      {answer && <Facts versions={answer.versions} />}
    </main>
  );
}

export function start<T>(shop: Shop<T>) {
  const root = document.getElementById("root");
  if (!root) throw new Error("the shell page has no #root");
  createRoot(root).render(
    <StrictMode>
      <Page shop={shop} />
    </StrictMode>,
  );
}
