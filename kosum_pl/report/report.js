// The table of predictions: searched, filtered, sorted, and shown fifty rows at a time.
// In: the JSON block #row-data. Every text goes in by textContent: nothing of a data set becomes markup.
"use strict";
(() => {
  const block = document.getElementById("row-data");
  if (!block) return;

  const PAGE = 50;
  const data = JSON.parse(block.textContent);
  const list = document.getElementById("list");
  const head = list.tHead;
  const body = list.tBodies[0];
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const back = document.getElementById("back");
  const next = document.getElementById("next");
  const several = data.runs.length > 1;
  // `sort` is a column's number, "id", or null for the order of the file.
  const state = { sort: null, falling: false, page: 0, picked: {} };
  const inOrder = new Intl.Collator("en", { numeric: true }).compare;
  const haystacks = new Array(data.rows.length);
  let found = data.rows.map((_, number) => number);

  function make(name, text, css) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (css) made.className = css;
    return made;
  }

  const folded = (text) => text.normalize("NFC").toLowerCase();

  function haystack(number) {
    if (haystacks[number] === undefined) {
      const row = data.rows[number];
      const texts = [row.i, row.d, ...row.r, ...row.t, ...row.w, ...row.u, ...Object.values(row.p)];
      haystacks[number] = folded(texts.filter((text) => text).join("\n"));
    }
    return haystacks[number];
  }

  // What is shown.

  function select() {
    const wanted = folded(search.value.trim());
    const picked = Object.entries(state.picked).filter(([, value]) => value !== "");
    found = [];
    for (let number = 0; number < data.rows.length; number++) {
      const profile = data.rows[number].p;
      if (picked.some(([name, value]) => profile[name] !== value)) continue;
      if (wanted && !haystack(number).includes(wanted)) continue;
      found.push(number);
    }
    order();
  }

  function order() {
    const { sort, falling } = state;
    const sign = falling ? -1 : 1;
    if (sort === "id") {
      found.sort((a, b) => sign * inOrder(data.rows[a].i, data.rows[b].i) || a - b);
    } else if (sort !== null) {
      found.sort((a, b) => {
        const first = data.rows[a].v[sort];
        const second = data.rows[b].v[sort];
        // What was not measured stands last, whichever way round.
        if (first === null || second === null) return (first === null) - (second === null) || a - b;
        return sign * (first - second) || a - b;
      });
    } else {
      found.sort((a, b) => a - b);
    }
    state.page = 0;
    show();
  }

  function show() {
    const start = state.page * PAGE;
    const end = Math.min(start + PAGE, found.length);
    body.replaceChildren(...found.slice(start, end).map((number) => line(data.rows[number])));
    const total = found.length.toLocaleString("en");
    const of = found.length < data.rows.length ? ` (${data.rows.length.toLocaleString("en")} in all)` : "";
    shown.textContent = found.length ? `${start + 1}–${end} of ${total}${of}` : "no row fits";
    back.disabled = state.page === 0;
    next.disabled = end >= found.length;
    for (const cell of head.rows[0].cells) {
      const button = cell.querySelector("button");
      if (!button) continue;
      const isSorted = button.dataset.sort === String(state.sort);
      if (isSorted) cell.setAttribute("aria-sort", state.falling ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  }

  function line(row) {
    const made = make("tr");
    made.append(make("th", row.i, "id"));
    made.firstChild.scope = "row";
    row.v.forEach((value, column) => {
      const { label, decimals } = data.columns[column];
      const cell = make("td", value === null ? "–" : value.toFixed(decimals), "number");
      cell.dataset.label = label;
      made.append(cell);
    });
    const texts = make("td", undefined, "texts");
    row.t.forEach((text, run) => {
      const prediction = make("div", undefined, "prediction");
      if (several) prediction.append(make("b", data.runs[run], `run c${run % 6}`), " ");
      prediction.append(text === null ? make("i", "(not in this run)") : text === "" ? make("i", "(empty)") : text);
      if (row.u[run]) prediction.append(" ", make("span", row.u[run], "unfinished"));
      texts.append(prediction);
    });
    row.r.forEach((text) => texts.append(make("div", text, "reference")));
    texts.append(more(row));
    made.append(texts);
    return made;
  }

  function more(row) {
    const made = make("details");
    made.append(make("summary", "dialogue"));
    // Built when it is first opened.
    made.addEventListener("toggle", () => {
      if (!made.open || made.childElementCount > 1) return;
      made.append(make("div", row.d, "dialogue"));
      row.w.forEach((text, run) => {
        if (text !== null) made.append(make("div", `raw${several ? ` ${data.runs[run]}` : ""}: ${text}`, "raw"));
      });
      const profile = Object.entries(row.p).map(([name, value]) => `${name} ${value}`);
      if (profile.length) made.append(make("div", profile.join(" · "), "note"));
    });
    return made;
  }

  // Controls.

  function sortBy(sort) {
    if (state.sort !== sort) {
      state.sort = sort;
      // The worst first; a difference too.
      state.falling = false;
    } else if (!state.falling) {
      state.falling = true;
    } else {
      state.sort = null;
      state.falling = false;
    }
    order();
  }

  function heading(text, sort, title) {
    const cell = make("th");
    cell.scope = "col";
    const button = make("button", text);
    button.type = "button";
    button.dataset.sort = String(sort);
    if (title) button.title = title;
    button.addEventListener("click", () => sortBy(sort));
    cell.append(button);
    return cell;
  }

  const line0 = make("tr");
  line0.append(heading("id", "id", "row id"));
  data.columns.forEach(({ label, title }, column) => line0.append(heading(label, column, title)));
  const last = make("th", "prediction, reference", "texts");
  last.scope = "col";
  line0.append(last);
  head.append(line0);

  const filters = document.getElementById("filters");
  data.filters.forEach(({ name, values }) => {
    const choice = make("select");
    choice.dataset.column = name;
    choice.setAttribute("aria-label", `Filter by ${name}`);
    choice.append(new Option(`${name}: all`, ""));
    values.forEach((value) => choice.append(new Option(`${name}: ${value || "(none)"}`, value)));
    // An empty value means all, so the column's own empty value cannot be picked.
    choice.addEventListener("change", () => {
      state.picked[name] = choice.value;
      select();
    });
    filters.append(choice);
  });

  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(select, 120);
  });
  back.addEventListener("click", () => { state.page -= 1; show(); });
  next.addEventListener("click", () => { state.page += 1; show(); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-find]");
    if (!link) return;
    Object.keys(state.picked).forEach((name) => { state.picked[name] = ""; });
    filters.querySelectorAll("select").forEach((choice) => { choice.value = ""; });
    search.value = link.dataset.find;
    select();
    const exact = found.findIndex((number) => data.rows[number].i === link.dataset.find);
    if (exact >= PAGE) {
      state.page = Math.floor(exact / PAGE);
      show();
    }
  });

  select();
  document.documentElement.dataset.ready = "1";
})();
