/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page reads without this: it filters and sorts the matrix, and opens what a link leads to. */
"use strict";
(() => {
  const body = document.querySelector(".matrix tbody");
  const rows = [...body.rows];
  const text = document.getElementById("f-text");
  const status = document.getElementById("f-status");
  const sort = document.getElementById("f-sort");
  const said = document.getElementById("f-said");
  const heads = [...document.querySelectorAll(".matrix thead th")];
  const order = ["fail", "error", "warn", "pass", "skip", "none"];
  const rank = (row, column) => {
    const place = order.indexOf(row.cells[column].className);
    return place < 0 ? order.length : place;
  };

  const show = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = (!wanted || row.cells[0].textContent.toLowerCase().includes(wanted)) &&
        (!status.value || row.querySelector("td." + status.value) !== null);
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    said.value = shown === rows.length ? "" : shown + " of " + rows.length + " rows";
  };

  const arrange = (compare, column) => {
    heads.forEach((head, at) => {
      if (at === column) head.setAttribute("aria-sort", "ascending");
      else head.removeAttribute("aria-sort");
    });
    const number = (row) => Number(row.dataset.number);
    rows.sort((a, b) => compare(a, b) || number(a) - number(b));
    body.append(...rows);
  };

  const bySelect = {
    number: () => 0,
    rank: (a, b) => a.dataset.rank - b.dataset.rank,
    seconds: (a, b) => b.dataset.seconds - a.dataset.seconds,
  };
  text.addEventListener("input", show);
  status.addEventListener("change", show);
  sort.addEventListener("change", () => arrange(bySelect[sort.value], sort.value === "number" ? 0 : -1));
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      arrange(column ? (a, b) => rank(a, column) - rank(b, column) : bySelect.number, column);
    });
  });
  document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("tools").hidden = false;

  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || !target.closest("details")) return;
    for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
