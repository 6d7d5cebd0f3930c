// The staff console: a client of the API like any other. Who is signed in, and which view the address asks for.

import { may, me, signIn, signOut } from "./api.js";
import { el, hint, say } from "./dom.js";
import { audit } from "./views/audit.js";
import { availability } from "./views/availability.js";
import { flags } from "./views/flags.js";
import { onePayment, payments, reviews } from "./views/payments.js";
import { onePlayer, players } from "./views/player.js";
import { settlement } from "./views/settlement.js";

// By name, as it stands in the address: its title, the scope that it needs, and what shows it.
const VIEWS = {
  flags: ["Flags", "fraud:read", flags],
  reviews: ["Withdrawals", "payments:decide", reviews],
  payments: ["Payments", "payments:read", payments],
  settlement: ["Settlement", "settlement", settlement],
  availability: ["Kill switch", "payments:read", availability],
  player: ["Players", "status:read", players],
  audit: ["Audit log", "audit:read", audit],
};
// Views of one thing: the view that they belong to, their title, what shows them, and what an id of theirs is like.
const ONE = {
  player: ["player", "Player", onePlayer, /^[1-9][0-9]{0,18}$/],
  payment: ["payments", "Payment", onePayment, /^[0-9a-f-]{36}$/],
};

const main = document.getElementById("main");
const entrance = document.getElementById("sign-in");
const nav = document.getElementById("views");
const leave = document.getElementById("leave");
let shown = 0;

// The address behind its #: a view, what it is about, and what is asked of it.
function asked() {
  const [path, search] = location.hash.slice(1).split("?");
  const [name, ...ids] = path.split("/");
  return { name, ids, search: Object.fromEntries(new URLSearchParams(search)) };
}

// What shows that, where there is such a view and it is this person's to see.
function route({ name, ids: [id] }) {
  if (id === undefined) {
    const [title, scope, show] = VIEWS[name] ?? [];
    return show && may(scope) ? { view: name, title, show } : null;
  }
  const [view, title, show, form] = ONE[name] ?? [];
  return show && form.test(id) && may(VIEWS[view][1]) ? { view, title: `${title} ${id}`, show } : null;
}

async function show() {
  if (me() === null) return;
  const place = asked();
  const found = route(place);
  if (found === null) {
    location.replace(`#${Object.keys(VIEWS).find((name) => may(VIEWS[name][1])) ?? ""}`);
    return;
  }
  for (const link of nav.children) link.ariaCurrent = link.hash === `#${found.view}` ? "page" : null;
  const mine = (shown += 1);
  say("");
  main.ariaBusy = "true";
  const failed = (error) => [el("p.problem", { role: "alert" }, error.message)];
  const nodes = await found.show(place.ids, place.search).catch(failed);
  // Somebody may have gone on meanwhile, or out.
  if (mine !== shown || me() === null) return;
  const title = el("h1", { tabIndex: -1 }, found.title);
  const again = el("button", { type: "button", onclick: show }, "Read again");
  main.replaceChildren(el("div.title", {}, title, again), ...nodes);
  main.ariaBusy = "false";
  document.title = `${found.title} · LangSense`;
  title.focus();
}

function enter() {
  entrance.remove();
  const mine = Object.entries(VIEWS).filter(([, [, scope]]) => may(scope));
  nav.replaceChildren(...mine.map(([name, [title]]) => el("a", { href: `#${name}` }, title)));
  document.getElementById("who").textContent = me().subject;
  leave.hidden = false;
  if (mine.length) show();
  else main.replaceChildren(hint("This token opens nothing here."));
}

function goOut(text) {
  signOut();
  shown += 1;
  nav.replaceChildren();
  document.getElementById("who").textContent = "";
  leave.hidden = true;
  document.title = "LangSense";
  main.ariaBusy = "false";
  main.replaceChildren(entrance);
  say(text);
}

entrance.onsubmit = async (event) => {
  event.preventDefault();
  const token = document.getElementById("token");
  const problem = document.getElementById("sign-in-wrong");
  const button = entrance.querySelector("button");
  problem.textContent = "";
  button.disabled = true;
  try {
    await signIn(token.value.trim());
    say("");
    enter();
  } catch (error) {
    problem.textContent = error.message;
  }
  token.value = "";
  button.disabled = false;
};
leave.onclick = () => goOut("You are signed out.");
document.addEventListener("signed-out", () => goOut("Your token is no longer taken. Sign in again."));
window.addEventListener("hashchange", show);
document.getElementById("to-main").onclick = (event) => {
  event.preventDefault();
  main.focus();
};
if (me() !== null) enter();
