"use strict";
// Glue only: the theme, the menu of boards, the filter by needs. Sorting and searching are DataTables' own.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("subnetbench-theme"); } catch { /* a browser may forbid it on disk */ }

  const paint = () => {
    const theme = chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light";
    root.dataset.theme = theme;
    root.classList.toggle("dark", theme === "dark");
    const button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${theme === "dark" ? "light" : "dark"} theme`);
  };
  root.classList.add("js");
  paint();
  dark.addEventListener("change", paint);

  const tables = new Map();
  const allowed = () => new Set([...document.querySelectorAll("#needs input:checked")].map((box) => box.value));

  const start = (element) => {
    if (tables.has(element)) return;
    const ranking = element.classList.contains("ranking");
    const search = element.dataset.search !== "no";
    const table = new window.SubnetTables.DataTable(element, {
      paging: false,
      autoWidth: false,
      columnDefs: [
        { targets: "down", orderSequence: ["desc", "asc"] },
        { targets: "_all", orderSequence: ["asc", "desc"] },
      ],
      // The first column after the name ranks; the worst case, which may be the second, breaks ties.
      order: ranking ? [[1, "desc"], [2, "desc"]] : element.dataset.order ? undefined : [],
      layout: { topStart: search ? "search" : null, topEnd: null, bottomStart: search ? "info" : null, bottomEnd: null },
      language: { search: "Search", info: "_TOTAL_ rows", infoEmpty: "no row", infoFiltered: "of _MAX_",
        zeroRecords: "No row has that." },
    });
    tables.set(element, table);
    if (ranking) {
      // What a proposal has to beat stays in sight: controls pass every filter.
      table.search.fixed("needs", (text, data, index) => {
        const row = table.row(index).node();
        if (row.classList.contains("control")) return true;
        const may = allowed();
        const known = new Set([...document.querySelectorAll("#needs input")].map((box) => box.value));
        return JSON.parse(row.dataset.needs).every((need) => may.has(need) || !known.has(need));
      });
      table.draw();
    }
    const box = element.closest(".dt-layout-table");
    if (box) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", element.caption ? element.caption.textContent.split(".")[0] : "Table");
    }
  };

  const pick = (id) => {
    const boards = [...document.querySelectorAll(".board")];
    const found = boards.find((board) => board.dataset.board === id) ?? boards[0];
    if (!found) return;
    for (const board of boards) board.hidden = board !== found;
    document.getElementById("board").value = found.dataset.board;
    start(found.querySelector("table"));
    document.getElementById("said").textContent =
      `${found.querySelector("h2").textContent}: ${found.querySelectorAll("tbody tr").length} detectors`;
  };
  const fromAddress = () => {
    const match = /^#board\/(.+)$/.exec(location.hash);
    return match ? decodeURIComponent(match[1]) : null;
  };

  document.addEventListener("DOMContentLoaded", () => {
    paint();
    document.getElementById("theme").addEventListener("click", () => {
      chosen = root.dataset.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("subnetbench-theme", chosen); } catch { /* it is remembered until the page is left */ }
      paint();
    });
    const menu = document.getElementById("board");
    if (menu) {
      menu.addEventListener("change", () => { location.hash = `#board/${encodeURIComponent(menu.value)}`; });
      window.addEventListener("hashchange", () => { if (fromAddress()) pick(fromAddress()); });
      document.getElementById("needs")?.addEventListener("change", () => {
        for (const [element, table] of tables) if (element.classList.contains("ranking")) table.draw();
      });
      pick(fromAddress());
    }
    // On one page with everything there are hundreds: each is made as it comes into sight.
    const near = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) if (isIntersecting) { near.unobserve(target); start(target); }
    }, { rootMargin: "600px" });
    for (const element of document.querySelectorAll("table.data:not(.ranking)")) near.observe(element);
    root.dataset.ready = "yes";
  });
})();
