"use strict";
// Without this script the page shows everything: it filters, enlarges and opens what a link leads to.

const form = document.getElementById("filter");
const rows = [...document.querySelectorAll(".claims tr[data-verdict]")].map((row) => ({
  row,
  paper: row.closest("[data-paper]").dataset.paper,
  verdict: row.dataset.verdict,
  role: row.dataset.role,
  text: (row.parentElement.rows[0].textContent + " " + row.textContent).toLowerCase(),
}));

function filter() {
  const { paper, verdict, role, text } = Object.fromEntries(new FormData(form));
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const each of rows) {
    const wanted = (!paper || each.paper === paper) && (!verdict || each.verdict === verdict)
      && (!role || each.role === role) && words.every((word) => each.text.includes(word));
    each.row.hidden = !wanted;
    shown += wanted;
  }
  for (const group of document.querySelectorAll(".claims tbody")) {
    group.hidden = !group.querySelector("tr[data-verdict]:not([hidden])");
  }
  for (const ledger of document.querySelectorAll(".ledger[data-paper]")) {
    ledger.hidden = !ledger.querySelector("tbody:not([hidden])");
  }
  form.elements.found.value = `${shown} of ${rows.length} tests`;
}

if (rows.length) {
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  filter();
}

// What a link leads to may be filtered out, or folded away.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[hidden]")) {
    form.reset();
    filter();
  }
  for (let each = target; each; each = each.parentElement) {
    if (each.tagName === "DETAILS") each.open = true;
  }
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
if (location.hash) reveal();

const contents = document.querySelector("nav details");
if (matchMedia("(max-width: 71.99rem)").matches) contents.open = false;
contents.addEventListener("click", (event) => {
  if (event.target.tagName === "A" && matchMedia("(max-width: 71.99rem)").matches) contents.open = false;
});

const viewer = document.getElementById("viewer");
const stage = viewer.querySelector(".stage");
const images = [...document.querySelectorAll(".zoom img")];
let current = 0;

function fit(full) {
  stage.classList.toggle("full", full);
  viewer.querySelector("[name=fit]").setAttribute("aria-pressed", full);
}
function show(index) {
  current = (index + images.length) % images.length;
  const large = stage.querySelector("img");
  large.src = images[current].src;
  large.alt = images[current].alt;
  viewer.querySelector(".what").textContent = images[current].closest("article").querySelector("h3").textContent;
  fit(false);
  if (!viewer.open) viewer.showModal();
}
images.forEach((image, index) => image.parentElement.addEventListener("click", () => show(index)));
stage.addEventListener("click", () => fit(!stage.classList.contains("full")));
const actions = {
  previous: () => show(current - 1),
  next: () => show(current + 1),
  fit: () => fit(!stage.classList.contains("full")),
  close: () => viewer.close(),
};
for (const [name, action] of Object.entries(actions)) {
  viewer.querySelector(`[name=${name}]`).addEventListener("click", action);
}
viewer.addEventListener("keydown", (event) => {
  if (event.target === stage && stage.classList.contains("full")) return;
  if (event.key === "ArrowLeft") actions.previous();
  else if (event.key === "ArrowRight") actions.next();
});
viewer.addEventListener("close", () => images[current].parentElement.focus());

// What is folded away is printed too, where it is not a graph too wide for a sheet.
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("main details")) each.open = true;
});
