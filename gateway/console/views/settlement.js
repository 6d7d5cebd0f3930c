// Settlement: what does not agree, by kind, each worked on and closed with a reason; and the batches.

import { ask } from "../api.js";
import { age, card, el, facts, head, hint, instead, moment, nothing, part, payment, pill, table } from "../dom.js";
import { field, filters, form } from "../forms.js";

const MOST = 200;
// What each kind means, in the order in which they are worked on.
const KINDS = {
  contradiction: "The provider said something that cannot follow what it said before.",
  stranded: "The ledger did not take it, and it could not go back. Open the payment, and give it back once more.",
  missing: "Ours, and not the other side's.",
  extra: "The other side's, and not ours.",
  amount: "Another amount.",
  currency: "Another currency.",
  fee: "Another fee than the provider said at first.",
  late: "Counted on another day.",
  overdue: "For a day its provider has not said how it ended, or what is next for it here is not done.",
  blocked: "The ledger does not take it.",
};
const SHOWN = [["open", "open ones"], ["all", "closed ones, too"]];

export async function settlement(_ids, asked) {
  const onlyOpen = asked.shown !== "all";
  const [found, batches] = await Promise.all([
    ask("GET", `/settlement-exceptions?only_open=${onlyOpen}&limit=${MOST}`),
    ask("GET", "/settlement-batches?limit=30"),
  ]);
  const kinds = Object.keys(KINDS).concat(found.map(({ kind }) => kind));
  const groups = [...new Set(kinds)].map((kind) => [kind, found.filter((each) => each.kind === kind)]);
  return [
    filters("settlement", [field("Exceptions", "shown", { options: SHOWN, value: asked.shown })]),
    settlingAgain(batches),
    found.length ? null : nothing("All agrees."),
    found.length === MOST ? hint(`These are the newest ${MOST}; there may be more.`) : null,
    ...groups.filter(([, each]) => each.length).map(group),
    part("Batches", batches.length ? batchTable(batches) : nothing("No batch yet.")),
  ].filter((each) => each !== null);
}

const group = ([kind, found]) => part(`${kind} (${found.length})`, hint(KINDS[kind] ?? ""), found.map(exceptionCard));

function exceptionCard(each) {
  const made = card(
    head(
      pill(each.kind, each.closed_at ? "" : "bad"), `beside the ${each.side}`, payment(each.payment_id),
      age(each.opened_at)),
    facts([["ours", each.expected ?? "nothing"], ["theirs", each.found ?? "nothing"], ["reference", each.reference]]));
  if (each.closed_at) {
    made.append(el("p", {}, `Closed by ${each.closed_by}: ${each.closed_because} `, age(each.closed_at)));
    return made;
  }
  const close = async ({ reason }) => {
    instead(made, exceptionCard(await ask("POST", `/settlement-exceptions/${each.id}/resolution`, { reason })));
  };
  const why = field("Reason, for the record", "reason", { maxLength: 255 });
  made.append(form([why], [{ label: "Close", act: close, main: true }]));
  return made;
}

function batchTable(batches) {
  const mood = (status) => (status === "matched" ? "good" : ["exceptions", "delayed"].includes(status) ? "bad" : "");
  const columns = ["Day", "Provider", "Currency", "Status", "Tries", "Due", "Settled"];
  return table("Settlement batches, the newest first", columns, batches.map((each) => [
    each.day, each.provider, each.currency, pill(each.status, mood(each.status)), each.attempts,
    moment(each.due_at), moment(each.settled_at),
  ]));
}

function settlingAgain(batches) {
  if (!batches.length) return null;
  const options = batches.map((each) => [each.id, `${each.day}, ${each.provider}, ${each.currency}: ${each.status}`]);
  const file = { type: "file", accept: ".csv,text/csv", needed: false, wide: true };
  const report = field("Report (CSV), if it is brought by hand", "report", file);
  const place = el("div");
  const settle = async ({ batch }) => {
    const [brought] = report.control.files;
    const asked = brought ? { report: await brought.text() } : {};
    const after = await ask("POST", `/settlement-batches/${batch}/retry`, asked);
    place.replaceChildren(batchTable([after]));
  };
  return el("details", {}, el("summary", {}, "Settle a batch again, with the provider's report or one brought by hand"),
    form([field("Batch", "batch", { options, wide: true }), report], [{ label: "Settle again", act: settle }]), place);
}
