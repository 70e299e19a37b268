// Tabs, the search in logs, reading charts, pictures, copying. Text from a run only ever becomes text.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, words = "", name = "") => {
    const element = document.createElement(tag);
    element.textContent = words;
    element.className = name;
    return element;
  };
  document.documentElement.classList.add("js");

  // ---- tabs: arrow keys move, as https://www.w3.org/WAI/ARIA/apg/patterns/tabs/ has it
  for (const list of all("[role=tablist]")) {
    const tabs = all("[role=tab]", list);
    const choose = (tab) => {
      for (const one of tabs) {
        one.setAttribute("aria-selected", String(one === tab));
        one.tabIndex = one === tab ? 0 : -1;
        document.getElementById(one.getAttribute("aria-controls")).hidden = one !== tab;
      }
      tab.focus();
      document.dispatchEvent(new CustomEvent("panel"));
    };
    for (const tab of tabs) tab.addEventListener("click", () => choose(tab));
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const place = tabs.indexOf(document.activeElement);
      if (event.key === "Home") choose(tabs[0]);
      else if (event.key === "End") choose(tabs.at(-1));
      else if (step) choose(tabs[(place + step + tabs.length) % tabs.length]);
      else return;
      event.preventDefault();
    });
  }

  // ---- logs
  const form = document.querySelector(".log form");
  if (form) {
    const most = 2000;
    const field = form.querySelector("input");
    const said = form.querySelector("output");
    const texts = new Map(all(".log .lines").map((lines) => [lines, lines.textContent]));
    let marks = [];
    let current = -1;
    const shown = () => all(".log .lines").find((lines) => !lines.closest("[hidden]"));
    const toEnd = () => { shown().scrollTop = shown().scrollHeight; };
    const say = () => {
      const count = marks.length >= most ? `${most} or more` : marks.length;
      said.textContent = !field.value ? "" : marks.length ? `${current + 1} of ${count}` : "no match";
    };
    const go = (to) => {
      if (marks.length) {
        marks[current]?.classList.remove("current");
        current = (to + marks.length) % marks.length;
        const mark = marks[current];
        mark.classList.add("current");
        const lines = mark.closest(".lines");
        const [inner, outer] = [mark.getBoundingClientRect(), lines.getBoundingClientRect()];
        lines.scrollTop += inner.top - outer.top - lines.clientHeight / 2;
      }
      say();
    };
    const search = () => {
      const lines = shown();
      const words = texts.get(lines);
      const wanted = field.value;
      marks = [];
      current = -1;
      for (const [other, whole] of texts) if (other.querySelector("mark")) other.textContent = whole;
      if (!wanted) return say();
      // What is typed is no regular expression, and its case does not matter.
      const pattern = new RegExp(wanted.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "giu");
      const parts = [];
      let done = 0;
      for (const match of words.matchAll(pattern)) {
        if (!match[0] || marks.length >= most) break;
        const mark = make("mark", match[0]);
        parts.push(words.slice(done, match.index), mark);
        marks.push(mark);
        done = match.index + match[0].length;
      }
      if (marks.length) lines.replaceChildren(...parts, words.slice(done));
      // The last is the nearest to the end, where one reads.
      go(marks.length - 1);
    };
    field.addEventListener("input", search);
    form.addEventListener("submit", (event) => { event.preventDefault(); go(current + 1); });
    form.querySelector(".previous").addEventListener("click", () => go(current - 1));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); go(current - 1); }
      if (event.key === "Escape") { field.value = ""; search(); }
    });
    document.addEventListener("keydown", (event) => {
      const isTyping = event.target.closest?.("input, select, textarea");
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
      event.preventDefault();
      field.focus();
      field.select();
    });
    document.addEventListener("panel", () => { search(); if (!field.value) toEnd(); });
    toEnd();
  }

  // ---- charts: a cursor that reads out the nearest points
  const number = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(5))));
  for (const chart of all("svg.chart")) {
    const cursor = chart.querySelector(".cursor");
    const readout = chart.parentElement.querySelector(".readout");
    const [x0, x1] = chart.dataset.x.split(" ").map(Number);
    const [y0, y1] = chart.dataset.y.split(" ").map(Number);
    let lines = null;
    const points = () => (lines ??= all("polyline", chart).map((line) => ({
      name: line.dataset.name,
      points: line.getAttribute("points").split(" ").map((pair) => pair.split(",").map(Number)),
    })));
    const xs = () => [...new Set(points().flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
    let place = -1;
    const read = (x) => {
      const nearest = new Map();
      for (const line of points()) {
        for (const point of line.points) {
          const best = nearest.get(line.name);
          if (!best || Math.abs(point[0] - x) < Math.abs(best[0] - x)) nearest.set(line.name, point);
        }
      }
      const closest = [...nearest.values()].reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
      for (const end of ["x1", "x2"]) cursor.setAttribute(end, `${closest[0] / 10}%`);
      chart.classList.add("reading");
      const at = x0 + (closest[0] / 1000) * (x1 - x0);
      const values = [...nearest].map(([name, point]) => `${name} ${number(y1 - (point[1] / 1000) * (y1 - y0))}`);
      readout.textContent = `${chart.dataset.xName} ${number(at)}: ${values.join(", ")}`;
    };
    const leave = () => { chart.classList.remove("reading"); readout.textContent = ""; place = -1; };
    chart.addEventListener("pointermove", (event) => {
      const grid = chart.querySelector(".lines").getScreenCTM();
      read(Math.min(1000, Math.max(0, (event.clientX - grid.e) / grid.a)));
    });
    chart.addEventListener("pointerleave", leave);
    chart.addEventListener("blur", leave);
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -1e9, End: 1e9 }[event.key];
      if (!step) return;
      const known = xs();
      place = Math.min(known.length - 1, Math.max(0, place + step * (event.shiftKey ? 10 : 1)));
      read(known[place]);
      event.preventDefault();
    });
  }

  // ---- pictures, larger
  for (const link of all(".enlarge")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const dialog = make("dialog");
      const head = make("p", link.parentElement.querySelector("figcaption").textContent);
      const close = make("button", "Close");
      close.addEventListener("click", () => dialog.close());
      head.append(close);
      dialog.append(head, link.querySelector("img").cloneNode());
      dialog.addEventListener("click", (click) => click.target === dialog && dialog.close());
      dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  // ---- commands
  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const words = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(words.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(words);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  // ---- on paper there is nothing to open
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
})();
