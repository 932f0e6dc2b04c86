// SPDX-License-Identifier: Apache-2.0

// All that the page asks of its origin, the gateway. No version appears here:
// the release's manifest says what it needs, and Sarsen routes by that.

/** What Sarsen says about an answer: the versions this request ran under. */
export interface Versions {
  bom: string;
  contract: string;
  build: string;
}

export interface Answer<T> {
  data: T;
  versions: Versions;
}

export async function query<T>(text: string, variables: object = {}): Promise<Answer<T>> {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query: text, variables }),
  });
  const body = await response.json();
  const message = body.errors?.[0]?.message ?? (response.ok ? undefined : body.detail ?? response.status);
  if (message !== undefined) throw new Error(`orders: ${message}`);
  return { data: body.data as T, versions: versionsOf(response.headers) };
}

function versionsOf(headers: Headers): Versions {
  return {
    bom: headers.get("Sarsen-Bom") ?? "",
    contract: headers.get("Sarsen-Contract") ?? "",
    build: headers.get("Sarsen-Build") ?? "",
  };
}

/** The customer who is logged in, "" for nobody. */
export async function whoAmI(): Promise<string> {
  const response = await fetch("/session");
  if (!response.ok) throw new Error(`session: status ${response.status}`);
  return ((await response.json()) as { customer: string }).customer;
}

export async function logIn(customer: string): Promise<void> {
  const response = await fetch("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ customer }),
  });
  if (!response.ok) throw new Error(((await response.json()) as { error: string }).error);
}

export async function logOut(): Promise<void> {
  const response = await fetch("/session", { method: "DELETE" });
  if (!response.ok) throw new Error(`session: status ${response.status}`);
}
