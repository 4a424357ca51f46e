// Small comforts. Every page works without this file.
(() => {
  "use strict";

  // An empty date means "not asked": leave it out of the URL rather than send it empty.
  for (const form of document.querySelectorAll("form[data-asof]")) {
    form.addEventListener("submit", () => {
      for (const field of form.elements) {
        if (field.name && field.value.trim() === "") field.disabled = true;
      }
    });
    // Coming back with the browser's own button, the fields must be usable again.
    window.addEventListener("pageshow", () => {
      for (const field of form.elements) field.disabled = false;
    });
  }

  // A region that has nothing to scroll needs no stop for the keyboard.
  const regions = document.querySelectorAll(".app-scroll[tabindex]");
  if (regions.length > 0 && "ResizeObserver" in window) {
    const observer = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        if (target.scrollWidth > target.clientWidth) target.setAttribute("tabindex", "0");
        else if (target !== document.activeElement) target.removeAttribute("tabindex");
      }
    });
    for (const region of regions) observer.observe(region);
  }

  // Stepping through changes with single keys, for those who ask for it: such keys must be off unless wanted.
  const changes = [...document.querySelectorAll("[data-changes] > article")];
  if (changes.length > 1) {
    const box = document.createElement("input");
    const label = document.createElement("label");
    box.type = "checkbox";
    label.className = "app-keys app-no-print";
    label.append(box, "Step through the changes with the keys n and p");
    changes[0].parentElement.before(label);
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
      const step = { n: 1, p: -1 }[event.key];
      if (!box.checked || !step || typing || event.ctrlKey || event.altKey || event.metaKey) return;
      const here = changes.findIndex((change) => "#" + change.id === location.hash);
      const next = changes[here < 0 ? 0 : Math.min(changes.length - 1, Math.max(0, here + step))];
      location.hash = next.id;
    });
  }

  // What is folded on the screen is read on paper.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });
})();
