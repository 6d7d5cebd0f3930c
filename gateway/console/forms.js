// Forms: what is asked of people, what they may do with it, and what the API says against it, beside its field.

import { el, say } from "./dom.js";
import { query } from "./api.js";

let count = 0;

// A field with its label. `options` makes a choice of it: pairs of a value and its text. `wide` leaves room for them.
export function field(label, name, { options = null, needed = true, hint = null, wide = false, ...more } = {}) {
  const id = `field-${(count += 1)}`;
  const option = ([value, text]) => el("option", { value, selected: value === more.value }, text);
  const control = options === null
    ? el("input", { id, name, required: needed, autocomplete: "off", ...more })
    : el("select", { id, name }, options.map(option));
  const wrong = el("span.problem", { id: `${id}-wrong` });
  control.setAttribute("aria-describedby", wrong.id);
  const help = hint && el("span.hint", {}, hint);
  const made = el(wide ? "div.field.wide" : "div.field", {}, el("label", { htmlFor: id }, label), control, help, wrong);
  return Object.assign(made, { control, wrong, needed });
}

// A form with what may be done by it. Each choice has a label, an act on the fields' values, and perhaps `needs`: the
// fields that it cannot do without, instead of all that are needed. An act is tried once at a time, and told when it is
// done, unless it is `quiet`.
export function form(fields, choices) {
  const problem = el("p.problem", { role: "alert" });
  const buttons = choices.map((choice) => el(choice.main ? "button.main" : "button", { type: "button" }, choice.label));
  const made = el("form.acts", { noValidate: true }, fields, el("div.buttons", {}, buttons), problem);
  const tryChoice = async ({ label, act, needs, quiet }) => {
    for (const each of fields) each.control.required = needs ? needs.includes(each.control.name) : each.needed;
    tell(fields, problem, null);
    if (!made.reportValidity()) return;
    busy(made, true);
    try {
      await act(Object.fromEntries(fields.map(({ control }) => [control.name, control.value.trim()])));
      if (!quiet) say(`${label}: done`);
    } catch (error) {
      say("");
      tell(fields, problem, error);
    }
    busy(made, false);
  };
  made.onsubmit = (event) => {
    event.preventDefault();
    // Enter does what there is only one of, as its button does.
    if (choices.length === 1) tryChoice(choices[0]);
  };
  if (choices.length === 1) buttons[0].type = "submit";
  else choices.forEach((choice, at) => { buttons[at].onclick = () => tryChoice(choice); });
  return made;
}

function busy(made, is) {
  made.ariaBusy = String(is);
  for (const button of made.querySelectorAll("button")) button.disabled = is;
}

function tell(fields, problem, error) {
  const left = [...(error?.errors ?? [])];
  for (const { control, wrong } of fields) {
    const at = left.findIndex(({ field: name }) => name.split(".").at(-1) === control.name);
    wrong.textContent = at < 0 ? "" : left.splice(at, 1)[0].message;
    control.ariaInvalid = String(at >= 0);
  }
  const others = left.map(({ field: name, message }) => `${name}: ${message}`);
  const all = error === null ? [] : error.errors?.length ? others : [error.message];
  problem.textContent = all.join("; ");
}

// Fields that choose what a view shows: they stand in the page's address, so that it can be kept and sent.
export function filters(view, fields) {
  return leading("Show", fields, (values) => `${view}${query(values)}`);
}

// A form that leads to another address of the page, or reads the same one again.
export function leading(label, fields, place) {
  const go = (values) => {
    const to = `#${place(values)}`;
    if (location.hash === to) window.dispatchEvent(new Event("hashchange"));
    location.hash = to;
  };
  return form(fields, [{ label, act: go, quiet: true }]);
}
