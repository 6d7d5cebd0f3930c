// What the page is made of. Whatever comes from elsewhere is text, never markup.

// An element: its classes after dots, its properties, its children; what is null is left out.
export function el(name, more = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = Object.assign(document.createElement(tag), more);
  made.classList.add(...classes);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const said = document.getElementById("said");

// Tell what has just been done; whoever listens to the page hears it, too.
export function say(text) {
  said.textContent = text;
}

export const words = (name) => String(name).replaceAll("_", " ");
export const hint = (text) => el("p.hint", {}, text);
export const nothing = (text = "Nothing waits here.") => el("p.empty", {}, text);
export const pill = (text, mood = "") => el(mood ? `span.pill.${mood}` : "span.pill", {}, words(text));
export const money = (amount, currency) => el("span.number", {}, `${amount} ${currency}`);

const SPANS = [["d", 86_400], ["h", 3_600], ["min", 60]];

// How long ago, or in how long, in its largest unit.
function distance(moment) {
  const seconds = Math.round((Date.now() - moment.getTime()) / 1000);
  const [unit, length] = SPANS.find(([, size]) => Math.abs(seconds) >= size) ?? ["s", 1];
  const count = `${Math.trunc(Math.abs(seconds) / length)} ${unit}`;
  return seconds < 0 ? `in ${count}` : `${count} ago`;
}

export function moment(text) {
  if (!text) return null;
  const at = new Date(text);
  return el("time", { dateTime: text }, `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`);
}

export function age(text) {
  const at = moment(text);
  at.title = at.textContent;
  at.textContent = distance(new Date(text));
  return at;
}

export const player = (id) => el("a", { href: `#player/${id}` }, `player ${id}`);

// A payment by the beginning of its id; the link has all of it.
export const payment = (id) => id && el("a", { href: `#payment/${id}`, title: id }, `payment ${id.slice(0, 8)}`);

// Names with their values; what has no value is left out.
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", {}, ...known.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, shown(value))]));
}

const shown = (value) => (value instanceof Node ? value : String(value));

// Rows under their columns; on a narrow screen each cell says its column itself.
export function table(caption, columns, rows) {
  const head = columns.map((text) => el("th", { scope: "col" }, text));
  const body = el("tbody");
  const made = el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)), body);
  made.add = (more) => {
    for (const cells of more) body.append(el("tr", {}, cells.map((cell, at) => tableCell(cell, columns[at]))));
  };
  made.add(rows);
  return made;
}

function tableCell(cell, column) {
  const made = el("td", {}, cell === null || cell === undefined ? "" : shown(cell));
  made.dataset.column = column;
  return made;
}

export const card = (...children) => el("article.card", {}, ...children);
export const head = (...children) => el("div.head", {}, children.map((child) => child && el("span", {}, child)));
export const part = (title, ...children) => el("section", {}, el("h2", {}, title), ...children);

// Puts something in the place of what it came from; whoever works by keyboard stays there.
export function instead(old, fresh) {
  old.replaceWith(fresh);
  fresh.tabIndex = -1;
  fresh.focus();
}

// A place with what `draw(found, again)` makes; an act in it draws it anew by `again(found)`.
export function redrawn(found, draw) {
  const place = el("div", { tabIndex: -1 });
  const again = (after) => {
    place.replaceChildren(...draw(after, again));
    place.focus();
  };
  place.append(...draw(found, again));
  return place;
}

// A list that grows by a page whenever somebody asks for more: `load(cursor)` returns the cursor of the next one.
export async function pages(load) {
  let cursor = await load(null);
  const button = el("button", { type: "button", hidden: cursor === null }, "More");
  const problem = el("span.problem", { role: "alert" });
  button.onclick = async () => {
    button.disabled = true;
    try {
      cursor = await load(cursor);
      button.hidden = cursor === null;
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
    }
    button.disabled = false;
  };
  return el("p.more", {}, button, problem);
}
