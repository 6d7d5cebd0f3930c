// The API, asked in the name of whoever has signed in to this tab.

const API = "/api/v1";
const TOKEN = "langsense-token";
const ME = "langsense-me";
const WAIT_MS = 20_000;

// What the API does not do, in its own words; `errors` are those of single fields.
export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail || `The platform answers ${status}.`);
    this.status = status;
    this.errors = problem?.errors ?? [];
  }
}

export const me = () => JSON.parse(sessionStorage.getItem(ME));
export const may = (scope) => me()?.scopes.includes(scope) ?? false;

export async function signIn(token) {
  sessionStorage.setItem(TOKEN, token);
  try {
    sessionStorage.setItem(ME, JSON.stringify(await ask("POST", "/console/sign-ins", {})));
  } catch (error) {
    signOut();
    throw error;
  }
}

export function signOut() {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(ME);
}

// Asks, and returns what is answered. `key` makes a retry the same request. Raises Refused.
export async function ask(method, path, body, key) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(TOKEN)}`, "Content-Type": "application/json" };
  if (key !== undefined) headers["Idempotency-Key"] = key;
  let response, text;
  try {
    const signal = AbortSignal.timeout(WAIT_MS);
    response = await fetch(API + path, { method, headers, body: body && JSON.stringify(body), signal });
    text = await response.text();
  } catch {
    const careful = method === "GET" ? "" : " Look whether it was done before you try again.";
    throw new Refused(0, { detail: `The platform does not answer.${careful}` });
  }
  const found = read(text);
  if (response.ok) return found;
  if (response.status === 401 && me() !== null) {
    signOut();
    document.dispatchEvent(new Event("signed-out"));
  }
  throw new Refused(response.status, found);
}

// A path's query of what is asked for; what is empty is not.
export function query(asked) {
  const kept = Object.entries(asked).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

function read(text) {
  try {
    return JSON.parse(text, exact);
  } catch {
    return null;
  }
}

// A player's id has 64 bits, and a number of this language 53: a larger one stays the text that it came as.
function exact(_name, value, context) {
  if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  return context?.source ?? "(a number that this browser cannot read)";
}
