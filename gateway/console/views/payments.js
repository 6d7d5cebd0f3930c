// Payments by id, player and status; one of them with its way, and what staff does with it; withdrawals to review.

import { ask, may, query } from "../api.js";
import { age, card, el, facts, head, hint, instead, moment, money, nothing, pages } from "../dom.js";
import { part, payment, pill, player, redrawn, table, words } from "../dom.js";
import { field, filters, form, leading } from "../forms.js";

// It has gone out, and its provider may still say something of it.
const OUT = new Set(["pending", "processing", "unknown"]);
const ENDS = ["completed", "failed", "cancelled", "refunded", "charged_back", "reinstated"];
const STATUSES = [["", "any"], ...["created", ...OUT, ...ENDS].map((status) => [status, words(status)])];
const WAITS = [["", "any"], ["review", "review"], ["completion", "completion"], ["queue", "the kill switch"]];
const BAD = new Set(["failed", "charged_back", "unknown"]);
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
// Why a withdrawal waits, as the payments service names it.
const WHY = {
  LARGE: "a large amount",
  RISKY: "a risky player",
  FRAUD_BLOCKED: "a player who is blocked for fraud",
  FRAUD_SCORE_UNKNOWN: "a player whose score is not known",
  REFUND_UNDER_WAY: "a refund of the player's is under way, and not in the ledger yet",
  NOT_TAKEN_BACK: "its provider would not take back what came from there",
};

// Of a table of payments, and of `paymentRow`.
export const COLUMNS = ["Payment", "Made", "Amount", "Player", "By", "Status", "Why"];
const TWICE = "Whoever asked for a payment does not decide on it. Where several have to approve, it goes on with the "
  + "last of them; one who rejects is enough. One's later word replaces the earlier, and what was said before the "
  + "queue does not count after it.";

const why = (each) => WHY[each.reason] ?? each.reason;
const by = (each) => `${each.provider}, ${words(each.method)}${each.last4 ? ` ending in ${each.last4}` : ""}`;
const status = (each) => pill(each.status, BAD.has(each.status) ? "bad" : each.status === "completed" ? "good" : "");

export async function payments(_ids, asked) {
  const rows = table("Payments, the newest first", COLUMNS, []);
  const empty = nothing("No payment is like that.");
  const more = await pages(async (cursor) => {
    const found = await ask("GET", `/payments${query({ ...asked, cursor })}`);
    rows.add(found.payments.map(paymentRow));
    empty.hidden = rows.tBodies[0].rows.length > 0;
    rows.hidden = !empty.hidden;
    return found.next_cursor;
  });
  const choice = filters("payments", [
    field("Player", "user_id", { inputMode: "numeric", pattern: "[0-9]+", needed: false, value: asked.user_id ?? "" }),
    field("Status", "status", { options: STATUSES, value: asked.status }),
    field("Waits for", "waits_for", { options: WAITS, value: asked.waits_for }),
  ]);
  return [lookUp(), choice, empty, rows, more];
}

function lookUp() {
  const id = field("Payment's id", "id", { pattern: UUID.source, title: "8-4-4-4-12 hexadecimal digits", size: 40 });
  return leading("Open", [id], (values) => `payment/${values.id.toLowerCase()}`);
}

export function paymentRow(each) {
  const waits = each.waits_for ? `waits for ${each.waits_for}` : null;
  const amount = el("span", {}, `${each.direction} `, money(each.amount, each.currency));
  const stands = el("span", {}, status(each), " ", waits);
  return [payment(each.id), moment(each.created_at), amount, player(each.user_id), by(each), stands, why(each)];
}

export async function onePayment([id]) {
  return [redrawn(await ask("GET", `/payments/${id}`), drawn)];
}

function drawn(found, again) {
  const waits = found.waits_for && pill(`waits for ${found.waits_for}`);
  const parts = found.parts.filter(({ id }) => id !== found.id);
  const refunded = found.direction === "deposit" ? `${found.refunded} ${found.currency}` : null;
  return [
    card(
      head(
        money(found.amount, found.currency), `${found.direction} of `, player(found.user_id), status(found), waits,
        age(found.created_at)),
      facts([
        ["id", found.id], ["by", by(found)], ["provider's reference", found.reference], ["reason", why(found)],
        ["in the ledger", words(found.posted)], ["given back so far", refunded],
        ["gives back", payment(found.of_payment)],
        ["made", moment(found.created_at)], ["changed", moment(found.changed_at)],
      ])),
    ...acts(found, again),
    part("What staff said", saidOf(found)),
    part("How it came here", el("ol.moves", {}, found.moves.map(moveLine))),
    parts.length ? table("Its other parts", COLUMNS, parts.map(paymentRow)) : null,
    found.refunds.length ? table("What went back of it", COLUMNS, found.refunds.map(paymentRow)) : null,
  ].filter((each) => each !== null);
}

function moveLine(move) {
  const waits = move.waits_for ? `, waits for ${move.waits_for}` : "";
  const illegal = move.illegal && el("span.bad", {}, ` (${words(move.illegal)} was said, and not applied)`);
  const stands = ` ${words(move.status)}, ${words(move.posted)} in the ledger${waits} `;
  return el("li", {}, moment(move.at), stands, move.reason, illegal);
}

function saidOf(found) {
  if (!found.said.length) return nothing("Nobody has said anything of it.");
  return el("ul.notes", {}, found.said.map((word) => el("li", {},
    el("b", {}, word.actor), ` ${words(word.act)}: ${word.verdict}, because `, word.reason,
    word.evidence && ` (shown by ${word.evidence})`, " ", age(word.at))));
}

function acts(found, again) {
  const queues = found.waits_for === "queue" && found.direction === "deposit";
  if (queues && may("payments:write")) return [cancelling(found, again)];
  if (!may("payments:decide")) return [];
  if (found.waits_for === "review") return [card(hint(TWICE), reviewing(found, again))];
  if (found.waits_for === "queue" && found.direction === "withdrawal") return [rejecting(found, again)];
  if (OUT.has(found.status)) return [completing(found, again)];
  // What the ledger refused goes back by itself; where it could not, staff tries again.
  const stands = found.posted === "credited" || (found.posted === "refused" && found.refunds.length);
  if (found.direction === "deposit" && stands) return [refunding(found, again)];
  return [];
}

const review = (found, verdict, again) => async ({ reason }) => {
  again(await ask("POST", `/payments/${found.id}/review`, { verdict, reason }));
};

function reviewing(found, again) {
  return form([field("Reason, for the record", "reason", { maxLength: 255 })], [
    { label: "Approve", act: review(found, "approve", again), main: true },
    { label: "Reject", act: review(found, "reject", again) },
  ]);
}

function rejecting(found, again) {
  return el("details", {}, el("summary", {}, "Reject it, with all of its withdrawal that waits in the queue"), form([
    field("Reason, for the record", "reason", { maxLength: 255 }),
  ], [{ label: "Reject the withdrawal", act: review(found, "reject", again) }]));
}

function completing(found, again) {
  // Of each person the last word counts, of those said since it came to wait for what it waits for.
  const since = found.moves[found.moves.findLastIndex((move) => move.waits_for !== found.waits_for) + 1].at;
  const counts = ({ act, at }) => act === "completion" && new Date(at) >= new Date(since);
  const stands = new Map(found.said.filter(counts).map(({ actor, verdict }) => [actor, verdict]));
  const spoken = [...stands].map(([actor, verdict]) => `${actor} said ${verdict}`).join(", ");
  const told = stands.size
    ? `${spoken}. Somebody else has to say the same: then it is so. A later word replaces one's own.`
    : "One person's word moves nothing: the second to say the same decides. Whoever asked for the payment is neither.";
  const complete = (outcome) => async ({ reason, evidence }) => {
    again(await ask("POST", `/payments/${found.id}/completion`, { outcome, reason, evidence }));
  };
  return card(
    el("h2", {}, "Say what became of it, in its provider's place"), hint(told),
    form([
      field("Reason, for the record", "reason", { maxLength: 255 }),
      field("Evidence", "evidence", { maxLength: 255, hint: "such as the number of a statement" }),
    ], [
      { label: "It was completed", act: complete("completed"), main: true },
      { label: "It failed", act: complete("failed") },
    ]));
}

function cancelling(found, again) {
  const cancel = async ({ reason }) => again(await ask("POST", `/payments/${found.id}/cancellation`, { reason }));
  return el("details", {}, el("summary", {}, "Cancel it: its player does not want it any more"), form([
    field("Reason, for the record", "reason", { maxLength: 255 }),
  ], [{ label: "Cancel the deposit", act: cancel }]));
}

function refunding(found, again) {
  // Tried again from this page, it is the same refund.
  const key = crypto.randomUUID();
  const refund = async ({ amount, reason }) => {
    await ask("POST", `/payments/${found.id}/refund`, { amount: amount || null, reason }, key);
    again(await ask("GET", `/payments/${found.id}`));
  };
  return el("details", {}, el("summary", {}, "Give back some of it, or all"), form([
    field(`Amount, ${found.currency}`, "amount", { inputMode: "decimal", needed: false, hint: "empty: all of it" }),
    field("Reason, for the record", "reason", { maxLength: 255 }),
  ], [{ label: "Give back", act: refund }]));
}

export async function reviews() {
  const list = el("div");
  const shown = new Set();
  const empty = nothing("No withdrawal waits for review.");
  const more = await pages(async (cursor) => {
    const found = await ask("GET", `/payments${query({ waits_for: "review", cursor, limit: 20 })}`);
    // What is said of one part of a withdrawal is said of all that wait for the same reason.
    const first = found.payments.filter(({ group_id, reason }) => {
      const together = `${group_id} ${reason}`;
      return !shown.has(together) && shown.add(together);
    });
    // What others have said of each is with the payment itself.
    const all = await Promise.all(first.map(({ id }) => ask("GET", `/payments/${id}`)));
    list.append(...all.map(reviewCard));
    empty.hidden = list.childElementCount > 0;
    return found.next_cursor;
  });
  return [hint(TWICE), empty, list, more];
}

function reviewCard(found) {
  const waits = (each) => each.id !== found.id && each.waits_for === "review" && each.reason === found.reason;
  const beside = found.parts.filter(waits);
  const made = card(
    head(
      money(found.amount, found.currency), `${found.direction} of `, player(found.user_id), pill(why(found) ?? "held"),
      found.waits_for === "review" ? null : status(found), by(found), payment(found.id), age(found.created_at)),
    beside.length
      ? el("p.hint", {}, "Decided with it: ", beside.flatMap((each) =>
        [money(each.amount, each.currency), ` by ${by(each)}. `]))
      : null,
    found.said.length ? saidOf(found) : null);
  const again = (after) => instead(made, reviewCard(after));
  if (found.waits_for === "review") made.append(reviewing(found, again));
  return made;
}
