"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  const group = document.getElementById("subjects");
  const buttons = group ? all("button", group) : [];
  const show = (subject) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.subject === subject));
    const shut = (tag) => subject !== "" && tag !== subject;
    for (const block of all("[data-for]")) block.classList.toggle("away", shut(block.dataset.for));
    for (const section of all("[data-only]")) {
      const away = section.dataset.only.split(" ").every(shut);
      section.classList.toggle("away", away);
      const link = document.querySelector(`nav a[href="#${section.id}"]`);
      if (link) link.parentElement.classList.toggle("away", away);
    }
  };
  if (group) {
    group.hidden = false;
    for (const button of buttons) button.addEventListener("click", () => show(button.dataset.subject));
    document.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (event.target.closest?.("pre, .scroll, input, dialog")) return;
      const now = buttons.findIndex((button) => button.getAttribute("aria-pressed") === "true");
      show(buttons[(now + step + buttons.length) % buttons.length].dataset.subject);
      event.preventDefault();
    });
  }

  for (const table of all("table")) {
    const body = table.tBodies[0];
    all("th", table).forEach((head, column) => {
      head.tabIndex = 0;
      const sort = () => {
        const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && !head.classList.contains("n"));
        for (const other of all("th", table)) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => {
          const cell = row.cells[column];
          if (!head.classList.contains("n")) return cell.textContent;
          return cell.dataset.v === "" ? null : Number(cell.dataset.v);
        };
        const rows = [...body.rows].map((row) => [key(row), row]);
        rows.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          const order = typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
          return up ? order : -order;
        });
        body.append(...rows.map(([, row]) => row));
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter") sort();
      });
    });
  }

  const zoom = document.getElementById("zoom");
  for (const picture of all(".card img")) {
    picture.addEventListener("click", () => {
      zoom.firstElementChild.src = picture.src;
      zoom.firstElementChild.alt = picture.alt;
      zoom.showModal();
    });
  }
  zoom.addEventListener("click", () => zoom.close());

  const links = new Map(all("nav a[href^='#']").map((link) => [link.getAttribute("href").slice(1), link]));
  const open = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", open);
  open();
  const mark = () => {
    const passed = [...links.keys()].filter((id) => {
      const part = document.getElementById(id);
      return part && !part.classList.contains("away") && part.getBoundingClientRect().top < 160;
    });
    for (const [id, link] of links) link.classList.toggle("here", id === passed.at(-1));
  };
  addEventListener("scroll", mark, { passive: true });
  mark();

  const closed = [];
  addEventListener("beforeprint", () => {
    for (const part of all("details:not([open])")) {
      closed.push(part);
      part.open = true;
    }
  });
  addEventListener("afterprint", () => {
    for (const part of closed.splice(0)) part.open = false;
  });
})();
