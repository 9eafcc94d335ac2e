"use strict";
// Glue only: theme, menu, filters, search over all boards, parts that are made when chosen. Sorting is DataTables' own.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // A browser may forbid storage on disk: a choice then lasts until the page is left.
  const recall = (name) => { try { return localStorage.getItem(`subnetbench-${name}`); } catch { return null; } };
  const remember = (name, value) => { try { localStorage.setItem(`subnetbench-${name}`, value); } catch { /* as above */ } };
  let chosen = recall("theme");

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
  root.classList.toggle("intervals", recall("intervals") === "yes");
  paint();
  dark.addEventListener("change", paint);

  // -- tables
  const tables = new Map();
  const allowed = () => new Set([...document.querySelectorAll("#needs input:checked")].map((box) => box.value));

  // Each figure of a card bears the name of its column, which a phone does not show above it.
  const asCards = (element, table) => {
    const titles = table.columns().header().toArray().map((head) => head.textContent.replace(/\s+/g, " ").trim());
    for (const row of element.tBodies[0].rows) {
      [...row.cells].forEach((cell, place) => {
        if (cell.tagName === "TD" && !cell.classList.contains("rank")) cell.dataset.label = titles[place];
      });
    }
    element.classList.add("cards");
    if (!element.classList.contains("ranking")) return;
    const label = document.createElement("label");
    const select = document.createElement("select");
    label.className = "sort";
    label.append("Sort by ", select);
    titles.forEach((title, place) => select.add(new Option(title, String(place))));
    select.addEventListener("change", () => {
      const place = Number(select.value);
      const first = table.column(place).header().classList.contains("down") ? "desc" : "asc";
      table.order([[place, first]]).draw();
    });
    element.closest(".dt-container").before(label);
  };

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
      order: ranking ? [[0, "asc"]] : element.dataset.order ? undefined : [],
      layout: { topStart: search ? "search" : null, topEnd: null, bottomStart: search ? "info" : null, bottomEnd: null },
      language: { search: "Filter", info: "_TOTAL_ rows", infoEmpty: "no row", infoFiltered: "of _MAX_",
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
    if (ranking || element.dataset.cards) asCards(element, table);
    const box = element.closest(".dt-layout-table");
    if (box) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", `Table: ${element.caption ? element.caption.textContent.split(".")[0] : ""}`);
    }
  };

  // On a page of an attack or of localisation there are many: each is made as it comes into sight.
  const near = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) if (isIntersecting) { near.unobserve(target); start(target); }
  }, { rootMargin: "600px" });
  const watch = (place) => { for (const table of place.querySelectorAll("table.data:not(.ranking)")) near.observe(table); };

  // -- parts of a page, made when they are chosen
  const unpack = (name) => {
    const text = document.getElementById(`packed-${name}`).textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  };
  // The tables' library of a single page is packed too; its script runs because the page's policy names its hash.
  const library = async () => {
    if (!document.getElementById("packed-tables.js")) return;
    const [style, script] = [document.createElement("style"), document.createElement("script")];
    style.textContent = await (await unpack("tables.css")).text();
    script.textContent = await (await unpack("tables.js")).text();
    document.querySelector("style").before(style);
    document.head.append(script);
  };
  const save = async (link) => {
    const saved = document.createElement("a");
    saved.href = URL.createObjectURL(await unpack(link.getAttribute("href").slice(1)));
    saved.download = link.download;
    saved.click();
  };
  const made = new Map();
  const make = (place) => {
    const name = place.dataset.part;
    if (!name) return Promise.resolve();
    if (!made.has(name)) {
      made.set(name, (async () => {
        place.innerHTML = await (await unpack(name)).text();
        watch(place);
      })());
    }
    return made.get(name);
  };

  // -- boards
  const boards = () => [...document.querySelectorAll(".board")];
  const pick = async (id) => {
    const picked = boards().find((board) => board.dataset.board === id) ?? boards()[0];
    if (!picked) return;
    await make(picked);
    for (const board of boards()) board.hidden = board !== picked;
    document.getElementById("board").value = picked.dataset.board;
    start(picked.querySelector("table"));
    document.getElementById("said").textContent =
      `${picked.querySelector("h2").textContent}: ${picked.querySelectorAll("tbody tr").length} detectors`;
  };
  const fromAddress = () => {
    const match = /^#board\/(.+)$/.exec(location.hash);
    return match ? decodeURIComponent(match[1]) : null;
  };

  // One view at a time on a single page: the start, or the detector, attack or page that the address names.
  const show = async (event) => {
    const views = [...document.querySelectorAll(".view")];
    const anchor = decodeURIComponent(location.hash.slice(1));
    const view = views.find((one) => one.dataset.part === anchor);
    const inside = document.getElementById(anchor)?.closest(".view");
    const shown = view ?? inside ?? views[0];
    if (shown) {
      await make(shown);
      const turned = shown.hidden;
      for (const one of views) one.hidden = one !== shown;
      if (turned && inside) document.getElementById(anchor).scrollIntoView();
      else if (turned) scrollTo(0, 0);
      if (turned && view && event) {
        const heading = view.querySelector("h1");
        if (heading) { heading.tabIndex = -1; heading.focus({ preventScroll: true }); }
      }
    }
    if (document.getElementById("board") && (!shown || shown === views[0]) && (fromAddress() || !tables.size)) {
      await pick(fromAddress());
    }
  };

  // -- search over all boards
  let index = null;
  const rowsOfAll = async () => {
    if (index) return index;
    await Promise.all(boards().map(make));
    index = boards().flatMap((board) => [...board.querySelectorAll("tbody tr")].map((row) => {
      const name = row.querySelector("th.name");
      return {
        board, rank: row.querySelector(".rank").textContent, href: name.querySelector("a").getAttribute("href"),
        label: name.querySelector("bdi").textContent, control: row.classList.contains("control"),
        text: `${name.textContent} ${row.querySelector(".paper").textContent} ${board.dataset.name}`.toLowerCase(),
      };
    }));
    return index;
  };
  const search = async (words) => {
    const hits = document.getElementById("hits");
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    hits.hidden = wanted.length === 0;
    if (!wanted.length) return;
    const all = await rowsOfAll();
    if (document.getElementById("everywhere").value !== words) return;
    const matching = all.filter((row) => wanted.every((word) => row.text.includes(word)));
    const of = new Set(matching.map((row) => row.board)).size;
    document.getElementById("hits-said").textContent =
      `${matching.length} ${matching.length === 1 ? "row" : "rows"} on ${of} ${of === 1 ? "board" : "boards"}`;
    hits.querySelector("ol").replaceChildren(...matching.slice(0, 100).map((row) => {
      const item = document.createElement("li");
      const detector = document.createElement("a");
      const board = document.createElement("a");
      detector.href = row.href;
      detector.textContent = row.label;
      board.href = `#board/${encodeURIComponent(row.board.dataset.board)}`;
      board.textContent = row.board.dataset.name;
      item.append(detector, row.control ? " (control)" : "", `, rank ${row.rank} on `, board);
      return item;
    }));
  };

  document.addEventListener("DOMContentLoaded", async () => {
    paint();
    document.getElementById("theme").addEventListener("click", () => {
      chosen = root.dataset.theme === "dark" ? "light" : "dark";
      remember("theme", chosen);
      paint();
    });
    const menu = document.getElementById("board");
    if (menu) {
      menu.addEventListener("change", () => { location.hash = `#board/${encodeURIComponent(menu.value)}`; });
      document.getElementById("needs")?.addEventListener("change", () => {
        for (const [element, table] of tables) if (element.classList.contains("ranking")) table.draw();
      });
      const intervals = document.getElementById("intervals");
      intervals.checked = root.classList.contains("intervals");
      intervals.addEventListener("change", () => {
        root.classList.toggle("intervals", intervals.checked);
        remember("intervals", intervals.checked ? "yes" : "no");
      });
      const everywhere = document.getElementById("everywhere");
      everywhere.addEventListener("input", () => search(everywhere.value));
    }
    document.addEventListener("click", (event) => {
      const link = event.target.closest('a[href^="#file-"]');
      if (link) { event.preventDefault(); save(link); }
    });
    if (!menu) document.querySelectorAll("table.ranking").forEach(start);
    window.addEventListener("hashchange", show);
    await library();
    await show(null);
    watch(document);
    root.dataset.ready = "yes";
  });
})();
