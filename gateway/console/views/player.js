// One player: how it stands, what holds it back, what it did, and what staff may do about it.

import { ask, may, query } from "../api.js";
import { el, facts, hint, moment, money, pages, part, pill, table, words } from "../dom.js";
import { field, leading } from "../forms.js";
import { entries } from "./audit.js";
import { reasonLine } from "./flags.js";
import { COLUMNS, paymentRow } from "./payments.js";
import { playerActs } from "./player_acts.js";

export async function players() {
  const id = field("Player", "id", { inputMode: "numeric", pattern: "[1-9][0-9]*", title: "a positive number" });
  return [leading("Open", [id], (values) => `player/${values.id}`)];
}

export async function onePlayer([id]) {
  const status = await ask("GET", `/users/${id}/status`);
  const again = () => window.dispatchEvent(new Event("hashchange"));
  const [scored, excluded, moved, paid, known] = await Promise.all([
    may("fraud:read") && within(fraud(id)), within(exclusions(id)), within(transactions(id)),
    may("payments:read") && within(paymentsOf(id)), may("audit:read") && within(recordsOf(id)),
  ]);
  return [
    standing(status),
    playerActs(id, status, again),
    scored && part("Fraud", scored),
    part("Limits", limits(status)),
    part("Protection", protection(status.protection), excluded),
    part("Last 7 days", figures(status)),
    part("Transactions", moved),
    paid && part("Payments", paid),
    known && part("On record", known),
  ].filter((each) => each);
}

// A part whose owner does not answer keeps none of the others from being shown.
async function within(loading) {
  try {
    return await loading;
  } catch (error) {
    return [error.status === 404 ? hint(error.message) : el("p.problem", { role: "alert" }, error.message)];
  }
}

function standing(status) {
  const { restrictions: held, kyc, fraud: suspect } = status;
  const marks = [
    held?.exclusion && pill(`excluded: ${held.exclusion}`, "bad"), held?.blocked && pill("blocked for fraud", "bad"),
    kyc && pill(`KYC ${words(kyc.state)}`, kyc.state === "verified" ? "good" : ""), held && pill(`tier ${held.tier}`),
    suspect && pill(`fraud ${suspect.score}, ${suspect.level}`, suspect.level === "SAFE" ? "good" : "bad"),
  ].filter((each) => each);
  const row = (each) => [each.currency, number(each.cash), number(each.reserved)];
  const balances = (status.wallet?.balances ?? []).map(row);
  return el("section.card", {},
    el("p.head", {}, marks),
    balances.length ? table("Balances", ["Currency", "Cash", "Reserved"], balances) : hint("It has no account yet."),
    facts([
      ["excluded until", moment(held?.excluded_until)], ["blocked since", moment(held?.block?.since)],
      ["blocked until", moment(held?.block?.until)], ["block's reason", held?.block?.reason],
      ["KYC since", moment(kyc?.changed_at)], ["KYC reason", kyc?.reason?.staff ?? kyc?.reason?.code],
      ["document", kyc?.document?.number],
      ["stale", status.stale.map((each) => `${each.part}, of ${each.as_of}`).join("; ")],
      ["not known now", status.missing.map((each) => `${each.part} (${each.code})`).join("; ")],
    ]));
}

const number = (text) => el("span.number", {}, text);

async function fraud(id) {
  const found = await ask("GET", `/users/${id}/fraud-score`);
  const lines = (reasons) => el("ul.reasons", {}, reasons.map(reasonLine));
  const queue = el("a", { href: `#flags${query({ user_id: id })}` }, "flags");
  return [
    el("p", {},
      "Score ", el("strong", {}, String(found.score)), ` of 100, ${found.level}, at `, moment(found.at), ": ", queue),
    found.reasons.length ? lines(found.reasons) : hint("Nothing speaks against it."),
    found.snoozed.length ? hint("Snoozed for it, and adding nothing:") : null,
    lines(found.snoozed),
  ];
}

// Of what is in the wallet's currencies, what holds; the rest is folded away.
function limits(status) {
  if (status.limits === null) return hint("They are not known now.");
  const holds = status.limits.filter((each) => each.effective !== null || each.pending !== null);
  const mine = currenciesOf(status);
  const others = holds.filter(({ currency }) => !mine.has(currency));
  const first = holds.filter(({ currency }) => mine.has(currency));
  return [
    first.length ? limitTable("Limits in its currencies", first) : null,
    others.length ? el("details", {}, el("summary", {}, "In other currencies"), limitTable("The same", others)) : null,
  ];
}

const currenciesOf = (status) => new Set((status.wallet?.balances ?? []).map(({ currency }) => currency));

function limitTable(caption, found) {
  return table(caption, ["Limit", "Holds", "Used", "Left", "By"], found.map((each) => [
    `${each.currency} ${words(each.name.toLowerCase())}`, number(String(each.effective ?? "none")),
    each.used && number(each.used), each.remaining && number(each.remaining), setBy(each),
  ]));
}

function setBy(each) {
  const by = [
    each.override !== null && `staff's override ${each.override}`, each.own !== null && `its own ${each.own}`,
    each.jurisdiction !== null && `the jurisdiction's ${each.jurisdiction}`,
  ];
  const later = [
    each.pending && `a raise to ${each.pending.amount} waits until ${each.pending.confirmable_from}`,
    each.withdrawals_from && `withdrawals from ${each.withdrawals_from}`,
  ];
  return [...by, ...later].filter((text) => text).join("; ") || "the operator";
}

function protection(found) {
  if (!found) return hint("It is not known now.");
  const { session } = found;
  const held = ({ value, pending }) => (pending === null ? value : `${value}; ${pending} is asked for`);
  const now = session?.active ? "now" : "over";
  const played = session && `${session.minutes} min, ${now}; ${session.day_minutes} min that day`;
  return facts([
    ["jurisdiction", found.jurisdiction],
    ...Object.entries(found.settings).map(([name, set]) => [words(name), held(set)]),
    ["last session", played], ["reality check due", found.reality_check.due ? "yes" : "no"],
  ]);
}

async function exclusions(id) {
  const { exclusions: found } = await ask("GET", `/users/${id}/exclusions?limit=20`);
  if (!found.length) return hint("It was never excluded.");
  const holds = (each) => ["in_force", "end_requested"].includes(each.state);
  const columns = ["Exclusion", "State", "Asked", "Until", "Who", "Why"];
  return table("Exclusions and breaks, the newest first", columns, found.map((each) => [
    each.time_out ? "break" : each.type, pill(each.state, holds(each) ? "bad" : ""), moment(each.requested_at),
    moment(each.until) ?? (each.type === "PERMANENT" ? "for ever" : null), each.actor, each.reason,
  ]));
}

function figures(status) {
  const mine = currenciesOf(status);
  const found = Object.entries(status.metrics?.currencies ?? {}).filter(([currency]) => mine.has(currency));
  if (!found.length) return hint("Nothing is known of them.");
  const names = Object.keys(found[0][1]).filter((name) => typeof found[0][1][name] !== "object");
  const row = ([currency, each]) => [currency, ...names.map((name) => number(String(each[name])))];
  return table("Figures of the last 7 days", ["Currency", ...names.map(words)], found.map(row));
}

async function transactions(id) {
  const rows = table("Transactions, the newest first", ["When", "Kind", "Amount", "Status", "Reference", "Why"], []);
  const more = await pages(async (cursor) => {
    const found = await ask("GET", `/users/${id}/transactions${query({ cursor, limit: 25 })}`);
    rows.add(found.transactions.map(transactionRow));
    return found.next_cursor;
  });
  return rows.tBodies[0].rows.length ? [rows, more] : [hint("It has none.")];
}

function transactionRow(each) {
  const mood = each.status === "posted" ? "good" : "bad";
  const held = each.held ? "held until finance releases it" : null;
  const why = [each.reason, each.stated_reason, held].filter((text) => text).join(": ");
  // What is in no currency moves nothing.
  const amount = each.currency === "XXX" ? null : money(each.amount, each.currency);
  return [
    moment(each.created_at), words(each.type), amount, pill(each.status, mood), each.reference_id ?? each.provider, why,
  ];
}

async function paymentsOf(id) {
  const { payments } = await ask("GET", `/payments${query({ user_id: id, limit: 20 })}`);
  if (!payments.length) return [hint("It has paid nothing in or out here.")];
  const all = el("a", { href: `#payments${query({ user_id: id })}` }, "all payments");
  return [table("Payments, the newest first", COLUMNS, payments.map(paymentRow)), el("p", {}, all)];
}

async function recordsOf(id) {
  const { rows, empty, more } = await entries({ user_id: id, limit: 20 });
  return [empty, rows, more];
}
