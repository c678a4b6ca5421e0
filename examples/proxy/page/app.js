// The page shows the snapshots of the program, and posts the actions of buttons.
"use strict";

const byId = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");
const ms = (n) => `${n < 10 ? n.toFixed(1) : Math.round(n)} ms`;

// setText changes a text only if it differs. Screen readers read each change.
function setText(node, text) {
  text = String(text);
  if (node.textContent !== text) node.textContent = text;
}

// element returns an element with a class and children. A string becomes text.
function element(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

// changed reports whether the data with a name differs from the data that is
// shown.
const shown = new Map();
function changed(name, data) {
  const text = JSON.stringify(data);
  if (shown.get(name) === text) return false;
  shown.set(name, text);
  return true;
}

const why = {
  cold: "no token",
  expired: "the old token had expired",
  refused: "the old token was refused",
  ahead: "the old token expires soon",
  suspected: "the old token may have been refused",
};

function showBurst(burst) {
  const proof = document.querySelector(".proof");
  if (!burst) return;
  if (burst.running) {
    proof.dataset.result = "";
    setText(byId("burst-text"), "A thousand requests are in flight …");
    return;
  }
  setText(byId("burst-requests"), number(burst.requests));
  setText(byId("burst-refused"), number(burst.refused));
  setText(byId("burst-issuances"), number(burst.issuances));
  setText(byId("burst-failed"), number(burst.failed));
  proof.dataset.result = burst.failed ? "bad" : "good";
  setText(byId("burst-text"), `${burst.revoked ? "Their token was revoked in flight. " : ""}${number(burst.refused)} were refused; tokens issued: ${burst.issuances}; errors for callers: ${number(burst.failed)}. All were answered within ${ms(burst.took)}.`);
}

const kinds = ["served", "replayed", "answered", "failed"];

function showChart(seconds, total) {
  for (const kind of kinds) setText(byId(`total-${kind}`), number(total[kind]));
  if (!changed("seconds", seconds)) return;
  const sum = (s) => kinds.reduce((n, kind) => n + s[kind], 0);
  const top = Math.max(20, ...seconds.map(sum));
  const bars = [];
  seconds.forEach((second, x) => {
    let y = 120;
    for (const kind of kinds) {
      if (!second[kind]) continue;
      const height = Math.max(2, (second[kind] / top) * 112);
      y -= height;
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      bar.setAttribute("class", kind);
      bar.setAttribute("x", x * 10 + 1);
      bar.setAttribute("y", y);
      bar.setAttribute("width", 8);
      bar.setAttribute("height", height);
      bars.push(bar);
    }
  });
  byId("chart").replaceChildren(...bars);
  setText(byId("rate"), `${number(sum(seconds[seconds.length - 1]))} in the last second, at most ${number(Math.max(...seconds.map(sum)))} per second.`);
}

function showAccounts(accounts) {
  const body = byId("accounts");
  while (body.rows.length < accounts.length) {
    const row = body.insertRow();
    row.append(element("th"), element("td"), element("td"), element("td"));
    row.cells[0].scope = "row";
    const bar = element("progress");
    row.cells[3].append(bar, " ", element("span"));
  }
  accounts.forEach((account, i) => {
    const [user, id, serial, life] = body.rows[i].cells;
    setText(user, account.user);
    setText(id, account.account);
    setText(serial, account.serial ? `serial ${account.serial}` : "none yet");
    const bar = life.querySelector("progress");
    bar.max = account.lifetime || 1;
    bar.value = account.left;
    bar.setAttribute("aria-label", `remaining life of the token of ${account.user}`);
    setText(life.querySelector("span"), `${Math.ceil(account.left)} s`);
  });
}

function showIssuances(issuances) {
  if (!changed("issuances", issuances)) return;
  byId("issuances").replaceChildren(...issuances.map((i) => {
    const result = i.running ? "…" : i.error || `serial ${i.serial}`;
    return element("tr", "",
      element("td", "", String(i.number)),
      element("td", "", new Date(i.at).toLocaleTimeString("en-GB")),
      element("td", "", i.user),
      element("td", "", why[i.reason] || i.reason),
      element("td", i.error ? "bad" : "", result),
      element("td", "", i.running ? "…" : ms(i.took)));
  }));
}

function spanItem(span) {
  const item = element("li", "",
    element("span", "name", span.name),
    element("span", "", span.detail),
    element("span", "quiet", ` ${ms(span.took)}`));
  if (span.spans && span.spans.length) item.append(element("ul", "", ...span.spans.map(spanItem)));
  return item;
}

function showTraces(traces) {
  if (!changed("traces", traces)) return;
  byId("traces").replaceChildren(...traces.map((t) => {
    const more = t.alike ? `, and ${number(t.alike)} like it` : "";
    return element("li", "",
      element("span", "name", t.name),
      element("span", t.outcome === "failed" ? "bad" : "", `${t.user ? `${t.user}, ` : ""}status ${t.status}, ${t.outcome}${more}`),
      element("span", "quiet", ` ${ms(t.took)}`),
      element("ul", "", ...t.spans.map(spanItem)));
  }));
}

function show(s) {
  const passport = byId("passport");
  passport.dataset.state = s.passport;
  setText(passport, `Passport: ${s.passport}`);
  for (const button of document.querySelectorAll("button[data-state]")) {
    button.setAttribute("aria-pressed", String(button.dataset.state === s.passport));
  }
  showBurst(s.burst);
  showChart(s.seconds, s.total);
  showAccounts(s.accounts);
  showIssuances(s.issuances);
  showTraces(s.traces);
  setText(byId("fake-requests"), number(s.fake.requests));
  setText(byId("fake-refused"), number(s.fake.refused));
  setText(byId("fake-token-requests"), number(s.fake.tokenRequests));
  setText(byId("fake-issued"), number(s.fake.issued));
  setText(byId("issued"), number(s.issued));
  setText(byId("rotations"), number(s.rotations));
}

function connection(state, text) {
  byId("connection").dataset.state = state;
  setText(byId("connection"), text);
}

// A busy button is not disabled, because a disabled button loses the focus.
async function act(button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    const answer = await fetch(`/page/actions/${button.dataset.action}`, { method: "POST" });
    const done = button.dataset.done || (button.getAttribute("aria-pressed") === "true" ? "Passport is healthy again." : `Passport is ${button.dataset.state} now.`);
    setText(byId("status"), answer.ok ? done : `The program answered with status ${answer.status}.`);
  } catch {
    setText(byId("status"), "The program does not answer. Check whether it still runs.");
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

for (const button of document.querySelectorAll("button[data-action]")) {
  button.addEventListener("click", () => act(button));
}

const events = new EventSource("/page/events");
events.onmessage = (event) => {
  connection("live", "live");
  show(JSON.parse(event.data));
};
events.onerror = () => connection("lost", "not connected: start the program again");
