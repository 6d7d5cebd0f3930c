// The audit log: who did what, to whom, why, and what it changed; the newest first.

import { ask, query } from "../api.js";
import { el, facts, moment, nothing, pages, player, table } from "../dom.js";
import { field, filters } from "../forms.js";

const COLUMNS = ["When", "Who", "What", "Player", "Why", "More"];
const ACTION = { needed: false, pattern: "[A-Z][A-Z0-9_]*", title: "an action, such as CONSOLE_LOGIN" };
const AT = { needed: false, placeholder: "2026-11-24T10:00:00Z" };

export async function audit(_ids, asked) {
  const { rows, empty, more } = await entries(asked);
  const choice = filters("audit", [
    field("Player", "user_id", { inputMode: "numeric", pattern: "[0-9]+", needed: false, value: asked.user_id ?? "" }),
    field("Who", "actor", { needed: false, value: asked.actor ?? "" }),
    field("What", "action", { ...ACTION, value: asked.action ?? "" }),
    field("From", "from", { ...AT, value: asked.from ?? "" }),
    field("Before", "to", { ...AT, value: asked.to ?? "" }),
  ]);
  return [choice, empty, rows, more];
}

// Entries that are asked for, page by page.
export async function entries(asked) {
  const rows = table("Entries, the newest first", COLUMNS, []);
  const empty = nothing("Nothing like that is on record.");
  const more = await pages(async (cursor) => {
    const found = await ask("GET", `/audit-log${query({ ...asked, cursor })}`);
    rows.add(found.entries.map(entryRow));
    empty.hidden = rows.tBodies[0].rows.length > 0;
    rows.hidden = !empty.hidden;
    return found.next_cursor;
  });
  return { rows, empty, more };
}

function entryRow(entry) {
  const who = el("a", { href: `#audit${query({ actor: entry.actor })}` }, entry.actor);
  const what = el("a", { href: `#audit${query({ action: entry.action })}` }, entry.action);
  const about = entry.user_id === null ? null : player(entry.user_id);
  return [moment(entry.at), who, what, about, entry.reason, details(entry)];
}

function details(entry) {
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : value);
  const values = (of) => Object.entries(of).map(([name, value]) => [name, text(value)]);
  return el("details", {}, el("summary", {}, `number ${entry.number}`),
    entry.before && el("b", {}, "before"), entry.before && facts(values(entry.before)),
    entry.after && el("b", {}, "what was done"), entry.after && facts(values(entry.after)),
    facts([["request", entry.request_id], ["checksum", entry.checksum]]));
}
