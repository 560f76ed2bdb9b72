// What the panel does more when scripts run. Nothing here is needed: every page works without it.
"use strict";

// The theme changes at once instead of after a round trip; the form's own POST still tells the server, which
// writes the attribute into the next page itself (so no script has to run before the first paint).
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-theme-switch]") || !event.submitter) return;
  event.preventDefault();
  const theme = event.submitter.value;
  document.documentElement.dataset.theme = theme;
  for (const button of form.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button === event.submitter));
  }
  const body = new URLSearchParams(new FormData(form));
  body.set("theme", theme);
  fetch(form.action, { method: "POST", body, redirect: "manual" });
});

// A second click on the same button must not make a second thing.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.dataset.sent) {
    if (event.target.dataset.sent) event.preventDefault();
    return;
  }
  if (event.target.method === "post") event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A menu that is open closes with Escape and with a click elsewhere.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// Ticks every row of the list, or none when all are.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-tick]");
  if (!button) return;
  const boxes = [...document.querySelectorAll(`td.${button.dataset.tick} input`)];
  const want = !boxes.every((box) => box.checked);
  for (const box of boxes) box.checked = want;
});

// Copies what stands in another element, and says so where the button's own word stood.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const words = source.value ?? source.textContent;
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(words);
  } else { // Without TLS there is no clipboard but the old one, which takes what is marked.
    if (source.select) source.select();
    else getSelection().selectAllChildren(source);
    document.execCommand("copy");
  }
  const before = button.textContent;
  button.textContent = button.dataset.copied || "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
});

// htmx sends with fetch: each of its unsafe requests carries the session's token in a header, as forms do in a field.
document.addEventListener("htmx:config:request", (event) => {
  const token = document.querySelector('meta[name="csrf-token"]');
  const request = event.detail.ctx.request;
  if (token && !["GET", "HEAD"].includes(request.method)) request.headers["X-CSRF-Token"] = token.content;
});
