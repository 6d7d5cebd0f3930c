// Which payments may begin: the kill switch, per provider, direction and method.

import { ask, may } from "../api.js";
import { el, hint, moment, nothing, pill, redrawn, table } from "../dom.js";
import { field, form } from "../forms.js";

const NAMED = { pattern: "\\*|[a-z0-9][a-z0-9_\\-]{0,31}", title: "a name in small letters, or * for all" };
const DIRECTIONS = [["*", "both ways"], ["deposit", "deposits"], ["withdrawal", "withdrawals"], ["refund", "refunds"]];

export async function availability() {
  return [redrawn(await ask("GET", "/payments/availability"), drawn)];
}

function drawn(switches, again) {
  const off = switches.filter(({ available }) => !available);
  const told = off.length
    ? el("p.banner.bad", {}, `Switched off: ${off.map(named).join("; ")}. What is asked for meanwhile waits.`)
    : el("p.banner.good", {}, "All payments may begin.");
  const rows = switches.map((each) => [
    named(each), pill(each.available ? "on" : "off", each.available ? "good" : "bad"), each.reason, each.actor,
    moment(each.changed_at),
  ]);
  const list = rows.length
    ? table("Switches, as they were turned last", ["Payments", "Switch", "Why", "By", "Since"], rows)
    : nothing("No switch was ever turned.");
  return [told, may("payments:switch") ? turning(again) : null, list].filter((each) => each !== null);
}

function named({ provider, direction, method }) {
  const [, way] = DIRECTIONS.find(([value]) => value === direction) ?? ["", direction];
  const by = provider === "*" ? "every provider" : provider;
  return `${direction === "*" ? "all payments" : way} by ${by}${method === "*" ? "" : `, ${method}`}`;
}

function turning(again) {
  const turn = (available) => async (values) => {
    again(await ask("PUT", "/payments/availability", { ...values, available }));
  };
  return el("section.card", {},
    hint("A payment may begin where no switch about it is off. What waits goes on by itself afterwards."),
    form([
      field("Provider", "provider", { value: "*", ...NAMED }),
      field("Direction", "direction", { options: DIRECTIONS, value: "*" }),
      field("Method", "method", { value: "*", ...NAMED }),
      field("Reason, for the record", "reason", { maxLength: 255 }),
    ], [
      { label: "Switch off", act: turn(false), main: true },
      { label: "Switch on", act: turn(true) },
    ]));
}
