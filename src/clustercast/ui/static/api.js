// Questions to the server that gave this page: JSON in, JSON out, at the same address.

export class Refusal extends Error {
  constructor(status, document) {
    super(document.error ?? "no answer");
    this.status = status;
    this.hint = document.hint;
    this.numbers = document.numbers ?? {};
  }
}

async function read(response) {
  let found;
  try {
    found = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(response.status, { error: "the server's answer cannot be read" });
  }
  if (!response.ok) throw new Refusal(response.status, found);
  return found;
}

export async function get(name) {
  return read(await fetch(`/api/1/${name}`));
}

export async function ask(verb, fields, signal) {
  for (let attempt = 0; ; attempt += 1) {
    let response;
    try {
      response = await fetch(`/api/1/${verb}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(fields),
        signal,
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal(0, { error: "the server does not answer", hint: "start it again: clustercast ui" });
    }
    if (response.status !== 503 || attempt >= 3) return read(response);
    await new Promise((done) => setTimeout(done, 500 * 2 ** attempt));
  }
}
