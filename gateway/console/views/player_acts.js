// What staff may do about a player: each with a reason, on record, and folded away until it is wanted.

import { ask, may } from "../api.js";
import { el, hint, words } from "../dom.js";
import { field, form } from "../forms.js";

const TYPES = ["TEMPORARY", "EXTENDED", "PERMANENT"].map((type) => [type, words(type.toLowerCase())]);
const DECISIONS = [["verify", "verify"], ["reject", "reject"], ["review", "look at it again"]];
const reasonField = () => field("Reason, for the record", "reason", { maxLength: 255 });

// `again` shows the player anew.
export function playerActs(id, status, again) {
  const path = `/users/${id}`;
  const made = [
    may("fraud:block") && blocking(path, status, again),
    may("exclusions:write") && excluding(path, again),
    may("limits:write") && overriding(path, status, again),
    may("kyc:decide") && deciding(path, again),
  ].filter((each) => each);
  return made.length ? el("section.card", {}, el("h2", {}, "What may be done"), made) : null;
}

const folded = (title, ...children) => el("details", {}, el("summary", {}, title), ...children);

function blocking(path, status, again) {
  const block = (method) => async ({ reason }) => { await ask(method, `${path}/fraud-block`, { reason }); again(); };
  const [title, choice] = status.restrictions?.blocked
    ? ["Lift the block for fraud", { label: "Lift the block", act: block("DELETE") }]
    : ["Block for fraud", { label: "Block", act: block("POST") }];
  const told = hint("While blocked, a player makes no bet, deposit or new withdrawal; what has begun ends.");
  return folded(title, told, form([reasonField()], [choice]));
}

function excluding(path, again) {
  // Tried again from this page, it is the same exclusion.
  const key = crypto.randomUUID();
  const exclude = async ({ type, duration_hours: hours, reason }) => {
    const duration = hours ? { duration_hours: Number(hours) } : {};
    await ask("POST", `${path}/exclusions`, { type, reason, ...duration }, key);
    again();
  };
  const told = hint("It is extended freely, and never shortened. What staff began, staff alone ends.");
  return folded("Exclude from play", told, form([
    field("Kind", "type", { options: TYPES }),
    field("Hours", "duration_hours", { type: "number", min: 1, needed: false, hint: "a permanent one has none" }),
    reasonField(),
  ], [{ label: "Exclude", act: exclude }]));
}

function overriding(path, status, again) {
  const names = [...new Set((status.limits ?? []).map(({ name }) => name))];
  const currencies = [...new Set((status.limits ?? []).map(({ currency }) => currency))];
  const override = async ({ name, currency, value, reason }) => {
    const set = name.endsWith("_SECONDS") ? { seconds: Number(value) } : { amount: value };
    await ask("PUT", `${path}/limits/${name}`, { currency, reason, ...set });
    again();
  };
  const end = async ({ name, currency, reason }) => {
    await ask("DELETE", `${path}/limits/${name}`, { currency, reason });
    again();
  };
  return folded("Override a limit", form([
    field("Limit", "name", { options: names.map((name) => [name, words(name.toLowerCase())]) }),
    field("Currency", "currency", { options: currencies.map((currency) => [currency, currency]) }),
    field("Amount, or seconds", "value", { pattern: "[0-9]+(\\.[0-9]+)?", title: "a number such as 1500.00" }),
    reasonField(),
  ], [
    { label: "Override", act: override },
    { label: "End the override", act: end, needs: ["reason"] },
  ]));
}

function deciding(path, again) {
  const decide = async ({ decision, reason, public_reason: told }) => {
    await ask("POST", `${path}/kyc/decision`, { decision, reason, public_reason: told || null });
    again();
  };
  return folded("Decide on KYC", form([
    field("Decision", "decision", { options: DECISIONS }),
    reasonField(),
    field("What the player reads", "public_reason", { maxLength: 255, needed: false }),
  ], [{ label: "Decide", act: decide }]));
}
