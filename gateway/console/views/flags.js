// Fraud flags: the highest score first, then the oldest; what was seen, and what is done with each.

import { ask, may, me, query } from "../api.js";
import { age, card, el, head, instead, moment, nothing, pages, pill, player, words } from "../dom.js";
import { field, filters, form } from "../forms.js";

const STANDS = ["open", "in_review", "snoozed", "confirmed", "dismissed"];
const STATUSES = [["", "not resolved"], ...STANDS.map((status) => [status, words(status)])];
const RESOLVED = new Set(["confirmed", "dismissed"]);
const HOUR_MS = 3_600_000;
const SNOOZES = [["4", "4 hours"], ["24", "a day"], ["72", "3 days"], ["168", "a week"]];

export async function flags(_ids, asked) {
  const list = el("div");
  const empty = nothing("No flag is like that.");
  const more = await pages(async (cursor) => {
    const found = await ask("GET", `/fraud/flags${query({ ...asked, cursor, limit: 25 })}`);
    list.append(...found.flags.map(flagCard));
    empty.hidden = list.childElementCount > 0;
    return found.next_cursor;
  });
  const choice = filters("flags", [
    field("Status", "status", { options: STATUSES, value: asked.status }),
    field("Score from", "min_score", { type: "number", min: 0, max: 100, needed: false, value: asked.min_score ?? "" }),
    field("Player", "user_id", { inputMode: "numeric", pattern: "[0-9]+", needed: false, value: asked.user_id ?? "" }),
  ]);
  return [choice, empty, list, more];
}

function flagCard(flag) {
  const made = card(
    head(
      el("strong.score", { title: "score, of 100" }, String(flag.score)), pill(flag.level, "bad"),
      player(flag.user_id), pill(flag.status), flag.assignee && `with ${flag.assignee}`, age(flag.created_at)),
    el("ul.reasons", {}, flag.reasons.map(reasonLine)),
    el("ul.notes", {}, flag.notes.map(noteLine)),
    flag.snoozed_until && el("p.hint", {}, "Wakes ", moment(flag.snoozed_until)),
    flag.resolved_at && el("p", {},
      `${words(flag.status)} by ${flag.resolved_by}: ${flag.resolution} `, age(flag.resolved_at)));
  const work = async (what, body) => {
    instead(made, flagCard(await ask("POST", `/fraud/flags/${flag.id}/${what}`, body)));
  };
  if (may("fraud:flags") && !RESOLVED.has(flag.status)) made.append(resolving(flag, work), assigning(flag, work));
  return made;
}

const noteLine = (note) => el("li", {}, el("b", {}, note.by), ` ${note.note} `, age(note.at));

export function reasonLine(reason) {
  const events = `${reason.rule}, version ${reason.version}; events ${reason.evidence.join(", ") || "none"}`;
  const added = el("span.quiet", {}, ` (${points(reason.points_milli)} points) `);
  return el("li", { title: events }, reason.text, added, age(reason.seen_at));
}

// Thousandths as a decimal, digit by digit.
function points(milli) {
  const digits = String(milli).padStart(4, "0");
  return `${digits.slice(0, -3)}.${digits.slice(-3)}`.replace(/\.?0+$/, "");
}

function resolving(flag, work) {
  const resolve = (status) => ({ note }) => work("resolution", { status, note });
  const choices = [
    { label: "Confirm", act: resolve("confirmed"), needs: ["note"], main: true },
    { label: "Dismiss", act: resolve("dismissed"), needs: ["note"] },
    { label: "Write note", act: ({ note }) => work("notes", { note }), needs: ["note"] },
    { label: "Snooze", act: ({ note, until }) => work("snooze", { until: inHours(until), note }), needs: ["note"] },
  ];
  if (flag.assignee !== me().subject) {
    choices.push({ label: "Take it", act: () => work("assignment", { assignee: me().subject }), needs: [] });
  }
  if (flag.status !== "open") choices.push({ label: "Put back", act: resolve("open"), needs: ["note"] });
  return form([
    field("Note, for the record", "note", { maxLength: 1000, hint: "Confirming and dismissing are final." }),
    field("Snooze for", "until", { options: SNOOZES, value: "24" }),
  ], choices);
}

const inHours = (hours) => new Date(Date.now() + Number(hours) * HOUR_MS).toISOString();

function assigning(flag, work) {
  const assign = (assignee) => work("assignment", { assignee });
  const choices = [{ label: "Assign", act: ({ assignee }) => assign(assignee), needs: ["assignee"] }];
  if (flag.assignee) choices.push({ label: "Assign to nobody", act: () => assign(null), needs: [] });
  const colleague = field("Colleague", "assignee", { maxLength: 255, value: flag.assignee ?? "" });
  return el("details", {}, el("summary", {}, "Give it to somebody else"), form([colleague], choices));
}
